// What every Connections and ConnectionAttempts promises, whatever keeps them.
import { expect, it } from 'vitest';
import { sha256Hex } from '#mesh/canonical';
import { newId } from '#mesh/ids';
import type {
  ConnectionAttempts,
  ConnectionKey,
  Connections,
  NewTokens,
} from '../../../services/sts/ports/connections.ts';

export interface ConnectionsWorld extends AsyncDisposable {
  readonly connections: Connections;
  readonly attempts: ConnectionAttempts;
  readonly zoneId: string;
  /** Lets so much time pass for leases and attempts. */
  pass(ms: number): Promise<void>;
}

const tokens = (name: string, refreshToken?: string): NewTokens => ({
  accessToken: `at ${name}`,
  refreshToken,
  providerVersion: 3,
  expiresAtMs: Date.UTC(2030, 0, 1),
  scopes: ['read'],
});

/** Registers the rules; `open` gives an empty world. */
export function connectionsContract(open: () => Promise<ConnectionsWorld>): void {
  const keyIn = ({ zoneId }: ConnectionsWorld, subject = ''): ConnectionKey => ({
    zoneId,
    providerId: newId(),
    subject,
  });

  it('keeps a connection for each provider and subject, and none for others', async () => {
    await using world = await open();
    const { connections } = world;
    const key = keyIn(world, 'user:a:b');
    expect(await connections.read(key)).toBeUndefined();
    expect(await connections.lease(key, 'me', 1000)).toEqual({ kind: 'absent' });
    const id = newId();
    await connections.replace(key, id, tokens('one', 'rt'));
    const kept = await connections.current(key);
    expect(kept).toMatchObject({ id, state: 'active', subject: 'user:a:b', providerVersion: 3, scopes: ['read'] });
    expect(kept?.expiresAtMs).toBe(Date.UTC(2030, 0, 1));
    expect(kept?.accessEnvelope?.length).toBeGreaterThan(0);
    expect(kept?.refreshEnvelope?.length).toBeGreaterThan(0);
    expect(await connections.read({ ...key, subject: '' })).toBeUndefined();
    expect(await connections.read({ ...key, providerId: newId() })).toBeUndefined();
  });

  it('makes one empty connection however often it is asked to', async () => {
    await using world = await open();
    const key = keyIn(world);
    const [first, second] = [newId(), newId()];
    await world.connections.ensure(key, first);
    await world.connections.ensure(key, second);
    expect(await world.connections.read(key)).toMatchObject({ id: first, state: 'active', accessEnvelope: undefined });
  });

  it('leases to one holder at a time, and to the next when the lease has lapsed', async () => {
    await using world = await open();
    const { connections } = world;
    const key = keyIn(world);
    await connections.ensure(key, newId());
    const all = await Promise.all(['a', 'b', 'c'].map(async (holder) => connections.lease(key, holder, 400)));
    expect(all.map(({ kind }) => kind).toSorted((a, b) => a.localeCompare(b))).toEqual(['held', 'held', 'leased']);
    await world.pass(500);
    expect((await connections.lease(key, 'd', 60_000)).kind).toBe('leased');
    expect((await connections.lease(key, 'a', 60_000)).kind).toBe('held');
  });

  it('takes new tokens over the version they replace and over no other, and ends the lease with them', async () => {
    await using world = await open();
    const { connections } = world;
    const key = keyIn(world);
    const id = newId();
    await connections.replace(key, id, tokens('one', 'rt-1'));
    const version = (await connections.read(key))?.refreshVersion ?? 0;
    expect((await connections.lease(key, 'me', 60_000)).kind).toBe('leased');
    expect(await connections.renew(key, id, { version, tokens: tokens('two', 'rt-2') })).toBe(true);
    expect(await connections.renew(key, id, { version, tokens: tokens('late', 'rt-late') })).toBe(false);
    expect(await connections.renew(key, newId(), { version: version + 1, tokens: tokens('other') })).toBe(false);
    expect((await connections.lease(key, 'next', 1000)).kind).toBe('leased');
    expect((await connections.read(key))?.refreshVersion).toBe(version + 1);
  });

  it('keeps the refresh token where the new tokens bring none', async () => {
    await using world = await open();
    const { connections } = world;
    const key = keyIn(world);
    const id = newId();
    await connections.replace(key, id, tokens('one', 'rt'));
    const before = await connections.read(key);
    await connections.renew(key, id, { version: before?.refreshVersion ?? 0, tokens: tokens('two') });
    const after = await connections.read(key);
    expect(after?.refreshEnvelope).toEqual(before?.refreshEnvelope);
    expect(after?.accessEnvelope).not.toEqual(before?.accessEnvelope);
  });

  it('is broken by its holder alone, and whole again with new tokens', async () => {
    await using world = await open();
    const { connections } = world;
    const key = keyIn(world);
    const id = newId();
    await connections.replace(key, id, tokens('one', 'rt'));
    await connections.lease(key, 'me', 60_000);
    await connections.release(key, id, { holder: 'other', error: 'invalid_grant', providerVersion: 4 });
    expect(await connections.read(key)).toMatchObject({ state: 'active' });
    await connections.release(key, id, { holder: 'me', error: 'invalid_grant', providerVersion: 4 });
    const broken = await connections.read(key);
    expect(broken).toMatchObject({ state: 'broken', providerVersion: 4 });
    expect(broken?.failedAtMs).toBeGreaterThan(0);
    await connections.renew(key, id, { version: broken?.refreshVersion ?? 0, tokens: tokens('two') });
    expect(await connections.current(key)).toMatchObject({ state: 'active', failedAtMs: undefined });
  });

  it('puts a new connection in the place of the one before', async () => {
    await using world = await open();
    const { connections } = world;
    const key = keyIn(world);
    const [first, second] = [newId(), newId()];
    await connections.replace(key, first, tokens('one', 'rt'));
    const version = (await connections.read(key))?.refreshVersion ?? 0;
    await connections.replace(key, second, tokens('two'));
    expect(await connections.current(key)).toMatchObject({ id: second, refreshEnvelope: undefined });
    expect(await connections.renew(key, first, { version, tokens: tokens('late') })).toBe(false);
  });

  it('gives an attempt to the actor who began it, once, and not when it has expired', async () => {
    await using world = await open();
    const { attempts, zoneId } = world;
    const begin = async (state: string, lifeSeconds = 600): Promise<string> => {
      const stateDigest = sha256Hex(state);
      const where = { providerId: newId(), subject: '', redirectUri: 'https://admin.test/', actorId: 'ada' };
      const attempt = { id: newId(), stateDigest, ...where, verifierEnvelope: new Uint8Array([1, 2]) };
      expect(await attempts.begin(zoneId, attempt, lifeSeconds)).toBe(true);
      return stateDigest;
    };
    const stateDigest = await begin('one');
    expect(await attempts.take(zoneId, { stateDigest, actorId: 'bob' })).toBeUndefined();
    expect(await attempts.take(newId(), { stateDigest, actorId: 'ada' })).toBeUndefined();
    const took = await Promise.all([1, 2, 3].map(async () => attempts.take(zoneId, { stateDigest, actorId: 'ada' })));
    expect(took.filter((attempt) => attempt !== undefined)).toMatchObject([{ stateDigest, actorId: 'ada' }]);
    const short = await begin('two', 1);
    await world.pass(1200);
    expect(await attempts.take(zoneId, { stateDigest: short, actorId: 'ada' })).toBeUndefined();
  });
}
