// The limits of the environment: each refused with its own reason, counted exactly, and given back.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CoordinatorWorld, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;

beforeAll(async () => {
  world = await startCoordinatorWorld({
    settings: {
      MAX_DEPTH: '2',
      MAX_CHILDREN: '3',
      MAX_PER_ZONE: '8',
      MAX_PER_APP: '6',
      DEFAULT_TTL_SECONDS: '120',
      TTL_SWEEP_INTERVAL_MS: '200',
    },
  });
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const start = (token: string, wish: object = {}) =>
  world.rpc('StartSession', { zoneId: world.zone.id, applicationId: world.application.id, ...wish }, { token });

const end = (token: string, sessionId: string) =>
  world.rpc('EndSession', { zoneId: world.zone.id, sessionId }, { token });

async function counters(): Promise<Record<string, number>> {
  const rows = await world.sts.inZone<{ key: string; used: number }>(
    world.zone.id,
    'SELECT key, used FROM coordinator.capacity WHERE zone_id = $1',
    [world.zone.id],
  );
  return Object.fromEntries(rows.map(({ key, used }) => [key.split(':')[0], used]));
}

describe('a limit', () => {
  it('of depth, of children, of an application and of the zone has its own reason, and an end gives the place back', async () => {
    const token = await world.mandate();
    const root = await world.start(token);
    const child = await world.start(root.token, { parentId: root.id });
    const grandchild = await world.start(child.token, { parentId: child.id });
    const deeper = await start(grandchild.token, { parentId: grandchild.id });
    expect(deeper).toMatchObject({ status: 429, reason: 'session_depth_limit' });
    await world.start(root.token, { parentId: root.id });
    const last = await world.start(root.token, { parentId: root.id });
    expect(await start(root.token, { parentId: root.id })).toMatchObject({
      status: 429,
      reason: 'child_session_limit',
    });
    await end(token, last.id);
    expect((await start(root.token, { parentId: root.id })).status).toBe(200);
    await world.start(token);
    expect(await start(token)).toMatchObject({ status: 429, reason: 'application_session_limit' });
    const other = await world.sts.application(world.zone);
    const theirs = await world.mandate({}, other);
    const wish = { applicationId: other.id };
    expect((await start(theirs, wish)).status).toBe(200);
    expect((await start(theirs, wish)).status).toBe(200);
    expect(await start(theirs, wish)).toMatchObject({ status: 429, reason: 'zone_session_limit' });
    expect(await counters()).toMatchObject({ zone: 8 });
    await end(token, root.id);
    expect(await counters()).toMatchObject({ zone: 3 });
    await world.rpc('EndSession', { zoneId: world.zone.id, sessionId: root.id }, { certificate: 'api' });
    expect(await counters()).toMatchObject({ zone: 3 });
  });

  it('holds however many start and end at once, and the counters come out even', async () => {
    const token = await world.mandate({}, world.application);
    const open = await world.rpc(
      'ListSessions',
      { zoneId: world.zone.id, states: ['SESSION_STATE_ACTIVE'] },
      { certificate: 'api' },
    );
    for (const { id } of (open.body['sessions'] ?? []) as { id: string }[])
      await world.rpc('EndSession', { zoneId: world.zone.id, sessionId: id }, { certificate: 'api' });
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => start(token)));
      const started = answers.filter(({ status }) => status === 200);
      expect(started).toHaveLength(6);
      expect(new Set(answers.map(({ reason }) => reason))).toEqual(new Set([undefined, 'application_session_limit']));
      const ids = started.map(({ body }) => (body['session'] as { id: string }).id);
      // Each of them twice, so that an end that ends nothing gives nothing back.
      await Promise.all([...ids, ...ids].map((id) => end(token, id)));
      expect(await counters()).toMatchObject({ zone: 0, application: 0 });
    }
  });

  it('is given back when time has passed, children with their parent, and the ledger’s row says so', async () => {
    const token = await world.mandate();
    const root = await world.start(token, { ttlSeconds: 1 });
    const child = await world.start(root.token, { parentId: root.id, ttlSeconds: 60 });
    const before = await world.rpc('GetSession', { zoneId: world.zone.id, sessionId: child.id }, { token });
    const { startedAt, expiresAt } = before.body['session'] as { startedAt: string; expiresAt: string };
    expect(Date.parse(expiresAt) - Date.parse(startedAt)).toBeLessThanOrEqual(1000);
    const states = async () => {
      const rows = await world.sts.inZone<{ state: string }>(
        world.zone.id,
        'SELECT state FROM coordinator.agent_sessions WHERE id = ANY ($1) ORDER BY depth',
        [[root.id, child.id]],
      );
      return rows.map(({ state }) => state);
    };
    await expect.poll(states, { timeout: 15_000 }).toEqual(['expired', 'expired']);
    expect(await counters()).toMatchObject({ zone: 0 });
    const events = await world.sts.inZone<{ type: string }>(
      world.zone.id,
      `SELECT payload ->> 'eventType' AS type FROM coordinator.outbox
       WHERE payload -> 'metadata' ->> 'agent_session_id' = $1 ORDER BY ordinal`,
      [child.id],
    );
    expect(events.map(({ type }) => type)).toEqual(['session.started', 'session.ended']);
  });

  it('of life is the default when none is asked for', async () => {
    const { body } = await start(await world.mandate());
    const { startedAt, expiresAt } = body['session'] as { startedAt: string; expiresAt: string };
    expect(Date.parse(expiresAt) - Date.parse(startedAt)).toBe(120_000);
  });
});
