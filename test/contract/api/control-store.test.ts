// What every ControlStore promises, kept by the one on Postgres and by the one that flows are tested with.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Failure } from '#mesh/failure';
import { SYSTEM_ZONE, type ZoneId, knownId, newId } from '#mesh/ids';
import { type Database, createPool } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { type DisposableDatabase, disposableDatabase } from '#test/database';
import { createMemoryControlStore } from '../../../services/api/outbound/memory/control-store.ts';
import { createControlStore } from '../../../services/api/outbound/postgres/control-store.ts';
import type { ControlStore } from '../../../services/api/ports/control-store.ts';

const facts = { requestId: 'contract', traceId: undefined, traceparent: undefined };
let database: DisposableDatabase;
let pool: Database;

beforeAll(async () => {
  database = await disposableDatabase();
  pool = createPool({ service: 'api', connectionString: database.urls.api, logger: silentLogger });
});
afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const stores: readonly (readonly [string, () => ControlStore])[] = [
  ['Postgres', () => createControlStore(pool)],
  ['memory', createMemoryControlStore],
];

async function reasonOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no failure',
    (error: unknown) => (error instanceof Failure ? error.reason : String(error)),
  );
}

async function zoneIn(store: ControlStore): Promise<ZoneId> {
  const id = knownId<ZoneId>(newId());
  const settings = { dcrEnabled: false, pkceRequired: true, loginFlow: 'default', recordInputs: true };
  const row = { id, name: 'zone', slug: `z-${id}`, ...settings, secretCheckKey: randomBytes(32) };
  await store.change(id, facts, (tx) => tx.zones.insert(row));
  return id;
}

const resourceRow = (zoneId: string, identifier: string, slug: string) => ({
  ...{ id: newId(), zoneId, identifier, slug, name: identifier, kind: 'http', upstreamUrl: 'http://r.test' },
  ...{ scopes: ['a'], operations: [], operationEnforcement: false, allowOddPaths: false },
});

describe.each(stores)('the control store on %s', (_name, makeStore) => {
  test('gives a row back as it was written, with its first version and without what is hidden', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const zone = await store.read(zoneId, (tx) => tx.zones.find(zoneId));
    expect(zone).toMatchObject({ id: zoneId, version: 1, dcrEnabled: false });
    expect(zone?.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(zone).not.toHaveProperty('secretCheckKey');
    expect(zone).not.toHaveProperty('orgId');
    expect(await store.read(zoneId, (tx) => tx.secretCheckKey())).toHaveLength(32);
  });

  test('keeps names apart among live rows only', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const insert = (identifier: string, slug: string) =>
      store.change(zoneId, facts, (tx) => tx.resources.insertIfFree(resourceRow(zoneId, identifier, slug)));
    const first = await insert('one', 'same');
    expect(await insert('two', 'same')).toBeUndefined();
    expect(await reasonOf(insert('one', 'other'))).toBe('conflict');
    await store.change(zoneId, facts, (tx) => tx.resources.archive(first?.id ?? ''));
    expect(await insert('one', 'same')).toMatchObject({ version: 1 });
  });

  test('counts a version with every change, keeps what is absent and clears what is null', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const changed = await store.change(zoneId, facts, async (tx) => {
      await tx.zones.update(zoneId, { orgId: 'org', calendar: { time_zone: 'UTC' } });
      return tx.zones.update(zoneId, { calendar: null });
    });
    expect(changed).toMatchObject({ version: 3, orgId: 'org' });
    expect(changed).not.toHaveProperty('calendar', expect.anything());
    const missing = store.change(zoneId, facts, (tx) => tx.resources.update(newId(), { name: 'x' }));
    expect(await reasonOf(missing)).toBe('not_found');
  });

  test('shows nothing that was archived, and no zone that was', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    await store.change(zoneId, facts, (tx) => tx.zones.archive(zoneId));
    expect(await reasonOf(store.read(zoneId, async () => undefined))).toBe('not_found');
    expect(await reasonOf(store.change(zoneId, facts, (tx) => tx.requireZone()))).toBe('not_found');
    expect(await store.change(zoneId, facts, (tx) => tx.zones.lock(zoneId))).toBeUndefined();
  });

  test('leaves nothing of a change that fails', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const row = resourceRow(zoneId, 'lost', 'lost');
    const failing = store.change(zoneId, facts, async (tx) => {
      await tx.resources.insert(row);
      throw new Error('on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    expect(await store.read(zoneId, (tx) => tx.resources.find(row.id))).toBeUndefined();
  });

  test('pages through everything once, newest first', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const ids: string[] = [];
    for (let at = 0; at < 7; at += 1) {
      const row = resourceRow(zoneId, `r${at}`, `r${at}`);
      await store.change(zoneId, facts, (tx) => tx.resources.insert(row));
      ids.push(row.id);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: 3, cursor };
      const page = await store.read(zoneId, (tx) => tx.resources.page(query));
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(ids.toReversed());
  });

  test('remembers what a key stands for', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const key = { actorId: 'admin', zoneId, route: 'POST /x', keyDigest: 'a'.repeat(64) };
    const receipt = { bodyDigest: 'b'.repeat(64), status: 201, response: { id: 'x' } };
    expect(await store.peekReceipt(zoneId, key)).toBeUndefined();
    await store.change(zoneId, facts, async (tx) => {
      expect(await tx.receipts.claim(key)).toBeUndefined();
      await tx.receipts.keep(key, receipt);
    });
    expect(await store.peekReceipt(zoneId, key)).toEqual(receipt);
    expect(await store.change(zoneId, facts, (tx) => tx.receipts.claim(key))).toEqual(receipt);
    expect(await store.peekReceipt(zoneId, { ...key, actorId: 'other' })).toBeUndefined();
  });

  test('has one active version of a zone, and knows the one before', async () => {
    const store = makeStore();
    const zoneId = await zoneIn(store);
    const policySetId = newId();
    const [first, second] = [newId(), newId()];
    await store.change(zoneId, facts, async (tx) => {
      await tx.policySets.insert({ id: policySetId, zoneId, name: 'set' });
      for (const id of [first, second]) {
        const version = await tx.nextVersion({ policySetId });
        const manifest = [{ policy_version_id: newId() }];
        const row = {
          id,
          zoneId,
          policySetId,
          version,
          manifest,
          params: {},
          digest: 'a'.repeat(64),
          active: false,
          shadow: false,
        };
        await tx.policySetVersions.insert(row);
      }
    });
    const activate = (id: string | undefined) => store.change(zoneId, facts, (tx) => tx.activate(id));
    const active = async () => (await store.read(zoneId, (tx) => tx.activeVersion()))?.id;
    expect(await active()).toBeUndefined();
    await activate(first);
    await activate(second);
    expect(await active()).toBe(second);
    expect((await store.read(zoneId, (tx) => tx.previouslyActive(policySetId)))?.id).toBe(first);
    await activate(undefined);
    expect(await active()).toBeUndefined();
  });

  test('has one bootstrap token: one that gave way comes back when named again, one that was revoked never', async () => {
    const store = makeStore();
    const [first, second] = [randomBytes(32), randomBytes(32)];
    const bootstrap = (digest: Uint8Array) => store.bootstrapToken({ id: newId(), digest }, facts);
    expect(await bootstrap(first)).toBe('added');
    expect(await bootstrap(first)).toBe('known');
    expect(await bootstrap(second)).toBe('added');
    expect(await store.findAdmin(first)).toBeUndefined();
    expect(await store.findAdmin(second)).toMatchObject({ capability: 'all' });
    expect(await bootstrap(first)).toBe('added');
    expect(await store.findAdmin(second)).toBeUndefined();
    const admin = await store.findAdmin(first);
    await store.change(SYSTEM_ZONE, facts, (tx) => tx.revokeAdminToken(admin?.tokenId ?? ''));
    expect(await bootstrap(first)).toBe('revoked');
    expect(await store.findAdmin(first)).toBeUndefined();
  });
});
