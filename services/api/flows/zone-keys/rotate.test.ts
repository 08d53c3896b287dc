// What a rotation leaves behind, and in which order: the administrator's event, the key, and after a leak the anchors last.
import { describe, expect, test } from 'vitest';
import { Failure } from '#mesh/failure';
import type { IfMatch } from '../../domain/entity-tag.ts';
import { createMemoryApi } from '../../outbound/memory/api-deps.ts';
import type { AdminCall, ZoneCall } from '../admin-call.ts';
import { bindFlows } from '../bind-flows.ts';
import type { RotateZoneKey } from './rotate.ts';

const admin = { tokenId: 'admin', name: 'admin', zoneId: undefined, capability: 'all' } as const;
const facts = { requestId: 'request', traceId: undefined, traceparent: undefined };
const call: AdminCall = { admin, facts, idempotency: undefined };
const versions = (...list: number[]): IfMatch => ({ kind: 'versions', versions: list });

async function setUp() {
  const api = createMemoryApi();
  const flows = bindFlows(api.deps);
  const { entity: zone } = await flows.zones.create(call, { name: 'Zone' });
  const zoneCall: ZoneCall = { ...call, zoneId: zone.id };
  const rotate = (input: Partial<RotateZoneKey> = {}, as: ZoneCall = zoneCall) =>
    flows.zoneKeys.rotate(as, {
      ...{ retirePrevious: false, reason: 'a test', ifMatch: undefined, waitMs: undefined },
      ...input,
    });
  const told = () => api.store.state().told.map(({ kind }) => kind);
  return { ...api, flows, zoneCall, rotate, told };
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return error instanceof Failure ? error.reason : 'no failure';
}

describe('rotating a zone key', () => {
  test('tells the ledger and the key stream, and revokes nothing', async () => {
    const { rotate, told } = await setUp();
    const before = told().length;
    const { entity, status } = await rotate();
    expect([status, entity.version, entity.state, entity.retired]).toEqual([201, 2, 'published', undefined]);
    expect(told().slice(before)).toEqual(['mutation', 'key']);
    expect(entity).not.toHaveProperty('position');
  });

  test('after a leak retires every other key and writes the anchors last', async () => {
    const { rotate, told } = await setUp();
    await rotate();
    const before = told().length;
    const { entity } = await rotate({ retirePrevious: true });
    expect([entity.state, entity.retired?.length]).toEqual(['signing', 2]);
    expect(told().slice(before)).toEqual(['mutation', 'key', 'revoke']);
  });

  test('leaves nothing when the STS is away, or when somebody else was faster', async () => {
    const { rotate, store, world } = await setUp();
    await rotate();
    const before = structuredClone(store.state());
    expect(await reasonOf(rotate({ ifMatch: versions(1) }))).toBe('version_mismatch');
    expect(await reasonOf(rotate({ ifMatch: versions(2), retirePrevious: true }))).toBe('no failure');
    const after = structuredClone(store.state());
    world.stsAway = true;
    expect(await reasonOf(rotate())).toBe('sts_unavailable');
    expect(store.state()).toEqual(after);
    expect(after).not.toEqual(before);
  });

  test('stands when not every replica has confirmed in time, and a repeated call waits for the same one', async () => {
    const { rotate, store, world, zoneCall } = await setUp();
    const keyed = { ...zoneCall, idempotency: { key: 'k', route: 'POST /rotate', request: {} } };
    world.barrierBlocked = true;
    const leaked = { retirePrevious: true, waitMs: 10 };
    expect(await reasonOf(rotate(leaked, keyed))).toBe('barrier_timeout');
    world.barrierBlocked = false;
    const { replayed, barrier, entity } = await rotate(leaked, keyed);
    expect([replayed, barrier?.applied, entity.version]).toEqual([true, true, 2]);
    expect(store.state().tables.zoneKeys.rows).toHaveLength(2);
  });

  test('takes no more keys than verifiers read, except after a leak', async () => {
    const { rotate } = await setUp();
    for (let count = 1; count < 12; count += 1) await rotate();
    expect(await reasonOf(rotate())).toBe('conflict');
    expect(await reasonOf(rotate({ retirePrevious: true }))).toBe('no failure');
  });
});
