// Zone keys in memory: when one signs and verifies as time goes on, and what an unknown key id may cost.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { zoneJwk } from '#mesh/mandate';
import { ManualClock } from '#mesh/time';
import { createVaultMemory } from '../memory/vault-memory.ts';
import type { ZoneKeyRow } from '../postgres/statements.ts';
import type { ZoneShares } from '../postgres/zone-shares.ts';
import { createZoneKeys } from './zone-keys-cached.ts';

const zone = '0190a0a0-0000-7000-8000-00000000000a';
const nowMs = 1_800_000_000_000;
const minute = 60_000;
const tailMs = 3_660_000;
const vault = createVaultMemory('0a'.repeat(8));

interface Pair {
  readonly kid: string;
  readonly row: (window: { from: number; until?: number | undefined; retires?: number | undefined }) => ZoneKeyRow;
  readonly publicKey: KeyObject;
}

function pair(kid: string): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const location = { table: 'sts.zone_keys', column: 'envelope', rowId: kid };
  const envelope = Buffer.from(vault.seal(privateKey.export({ type: 'pkcs8', format: 'der' }), location));
  const moment = (ms: number | undefined): Date | null => (ms === undefined ? null : new Date(nowMs + ms));
  return {
    kid,
    publicKey,
    row: ({ from, until, retires }) => ({
      id: kid,
      public_jwk: { ...zoneJwk(kid, publicKey) },
      envelope,
      signs_from: new Date(nowMs + from),
      signs_until: moment(until),
      retires_at: moment(retires ?? (until === undefined ? undefined : until + tailMs)),
    }),
  };
}

function setUp(rows: ZoneKeyRow[]) {
  const clock = new ManualClock(nowMs);
  const state = { rows, reads: 0, fresh: true, unopenable: [] as string[] };
  const query = async (): Promise<ZoneKeyRow[]> => {
    state.reads += 1;
    return state.rows;
  };
  const database = { inZone: async (_zone: string, work: (tx: object) => unknown) => work({ zoneId: zone, query }) };
  const keys = createZoneKeys({
    database: database as unknown as ZoneShares,
    vault,
    isFresh: () => state.fresh,
    clock,
    maxStalenessMs: 5000,
    onUnopenable: (kid) => state.unopenable.push(kid),
  });
  return { clock, state, keys };
}

const [a, b, c] = [pair('key-a'), pair('key-b'), pair('key-c')];

describe('the keys of a zone', () => {
  it('change over at the moment the database set, without another read', async () => {
    const { clock, state, keys } = setUp([b.row({ from: 10 * minute }), a.row({ from: -minute, until: 10 * minute })]);
    expect((await keys.published(zone))?.map(({ kid }) => kid)).toEqual(['key-b', 'key-a']);
    expect(await keys.publicKey(zone, 'key-b')).toBeDefined();
    expect((await keys.signingKey(zone))?.kid).toBe('key-a');
    await clock.advance(10 * minute - 1);
    expect((await keys.signingKey(zone))?.kid).toBe('key-a');
    await clock.advance(1);
    expect((await keys.signingKey(zone))?.kid).toBe('key-b');
    expect(state.reads).toBe(1);
    expect(await keys.publicKey(zone, 'key-a')).toBeDefined();
  });

  it('leave JWKS and verification at their moment, held or not', async () => {
    const { clock, keys } = setUp([
      b.row({ from: -minute }),
      a.row({ from: -tailMs, until: -minute, retires: minute }),
    ]);
    expect(await keys.publicKey(zone, 'key-a')).toBeDefined();
    await clock.advance(minute);
    expect(await keys.publicKey(zone, 'key-a')).toBeUndefined();
    expect((await keys.published(zone))?.map(({ kid }) => kid)).toEqual(['key-b']);
  });

  it('sign no longer than their window and the leeway, whoever still holds them', async () => {
    const { clock, keys } = setUp([b.row({ from: minute }), a.row({ from: -minute, until: minute })]);
    const held = await keys.signingKey(zone);
    if (held === undefined) throw new Error('no key signs');
    expect(keys.maySign(held)).toBe(true);
    await clock.advance(minute + 4999);
    expect(keys.maySign(held)).toBe(true);
    await clock.advance(1);
    expect(keys.maySign(held)).toBe(false);
    expect(keys.maySign({ ...held })).toBe(false);
  });

  it('are read anew when they change, and after fifteen minutes at the latest', async () => {
    const { clock, state, keys } = setUp([a.row({ from: -minute })]);
    await keys.signingKey(zone);
    state.rows = [c.row({ from: -1 })];
    keys.drop(zone);
    expect((await keys.signingKey(zone))?.kid).toBe('key-c');
    await clock.advance(15 * minute - 1);
    await keys.signingKey(zone);
    expect(state.reads).toBe(2);
    await clock.advance(1);
    await keys.signingKey(zone);
    expect(state.reads).toBe(3);
  });

  it('are looked at again for a key that is not among them, once a second and zone', async () => {
    const { clock, state, keys } = setUp([a.row({ from: -minute })]);
    await keys.publicKey(zone, 'key-a');
    state.rows = [b.row({ from: -1 }), ...state.rows];
    expect((await keys.published(zone, 'key-b'))?.map(({ kid }) => kid)).toEqual(['key-b', 'key-a']);
    for (let attempt = 0; attempt < 50; attempt += 1) await keys.publicKey(zone, `invented-${attempt}`);
    expect(state.reads).toBe(2);
    await clock.advance(1000);
    await Promise.all(Array.from({ length: 50 }, (_unused, at) => keys.publicKey(zone, `more-${at}`)));
    expect(state.reads).toBe(3);
  });

  it('that do not open sign nothing, are counted, and still verify', async () => {
    const sealedElsewhere = { ...b.row({ from: -minute }), envelope: a.row({ from: 0 }).envelope };
    const { state, keys } = setUp([sealedElsewhere, a.row({ from: -2 * minute, until: -minute })]);
    expect(await keys.signingKey(zone)).toBeUndefined();
    expect(await keys.signingKey(zone)).toBeUndefined();
    expect(state.unopenable).toEqual(['key-b']);
    expect(await keys.publicKey(zone, 'key-b')).toBeDefined();
  });

  it('that are erased still verify', async () => {
    const erased = { ...a.row({ from: -2 * minute, until: -minute }), envelope: null };
    const { state, keys } = setUp([b.row({ from: -minute }), erased]);
    expect((await keys.signingKey(zone))?.kid).toBe('key-b');
    expect(await keys.publicKey(zone, 'key-a')).toBeDefined();
    expect(state.unopenable).toEqual([]);
  });
});
