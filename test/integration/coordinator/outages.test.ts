// What the Coordinator answers while the STS, its database or an enforcement point is away, and what stays behind.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { failureFromConnect } from '#mesh/rpc';
import { type CoordinatorWorld, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;
let token: string;

beforeAll(async () => {
  world = await startCoordinatorWorld({ settings: { TTL_SWEEP_INTERVAL_MS: '200' } });
  token = await world.mandate();
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const start = (wish: object = {}) =>
  world.rpc('StartSession', { zoneId: world.zone.id, applicationId: world.application.id, ...wish }, { token });

async function openSessions(): Promise<number> {
  const [row] = await world.sts.inZone<{ open: string }>(
    world.zone.id,
    `SELECT count(*) AS open FROM coordinator.agent_sessions WHERE state = 'active'`,
  );
  return Number(row?.open);
}

describe('while the STS is away', () => {
  it('a mandate is 503 and its session or edge does not stay; what needs no mandate works', async () => {
    const root = await world.start(token);
    const child = await world.start(root.token, { parentId: root.id });
    const before = await openSessions();
    world.links.sts.cut();
    expect(await start({ mandate: true })).toMatchObject({ status: 503, reason: 'sts_unavailable' });
    const renew = { zoneId: world.zone.id, sessionId: root.id };
    expect((await world.rpc('RenewSessionMandate', renew, { token })).reason).toBe('sts_unavailable');
    const ends = { sourceSessionId: root.id, targetSessionId: child.id };
    const edge = await world.delegate(root.token, { ...ends, mandate: true });
    expect(edge).toMatchObject({ status: 503, reason: 'sts_unavailable' });
    expect(await openSessions()).toBe(before);
    const edges = await world.json(`GET /zones/${world.zone.id}/delegations/outbound/${root.id}`, { token });
    expect(edges.body['items']).toMatchObject([{ status: 'revoked' }]);
    const plain = await start();
    expect(plain.status).toBe(200);
    const { id } = plain.body['session'] as { id: string };
    expect((await world.rpc('EndSession', { zoneId: world.zone.id, sessionId: id }, { token })).status).toBe(200);
    world.links.sts.mend();
    expect((await start({ mandate: true })).status).toBe(200);
  });

  it('a mandate that policy refuses leaves no session either', async () => {
    await world.sts.policy(world.zone, [
      `package caracal.authz\n\nresult := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["no"], "diagnostics": []}\n`,
    ]);
    await world.sts.changed('caracal.policy.invalidate', world.zone.id, {});
    await expect.poll(async () => (await start({ mandate: true })).reason, { timeout: 15_000 }).toBe('policy_denied');
    const before = await openSessions();
    expect((await start({ mandate: true })).reason).toBe('policy_denied');
    expect(await openSessions()).toBe(before);
  });
});

describe('while its database is away', () => {
  it('every call is 503 in words that leak nothing, and works again afterwards', async () => {
    const zoneId = world.zone.id;
    world.links.database.cut();
    const calls: readonly (readonly [string, object])[] = [
      ['StartSession', { zoneId, applicationId: world.application.id }],
      ['RenewSessionMandate', { zoneId, sessionId: newId() }],
      ['EndSession', { zoneId, sessionId: newId() }],
      ['GetSession', { zoneId, sessionId: newId() }],
      ['ListSessions', { zoneId }],
      [
        'CreateDelegation',
        { zoneId, sourceSessionId: newId(), targetSessionId: newId(), scopes: ['read'], ttlSeconds: 60 },
      ],
      ['RevokeDelegation', { zoneId, edgeId: newId() }],
    ];
    for (const [method, message] of calls) {
      const answer = await world.rpc(method, message, { token });
      expect(answer, method).toMatchObject({ status: 503, reason: 'store_unavailable' });
      expect(JSON.stringify(answer.body)).not.toMatch(/127\.0\.0\.1|ECONN|postgres|caracal_/i);
    }
    expect((await world.json(`GET /zones/${zoneId}/agents`, { token })).reason).toBe('store_unavailable');
    expect(await world.json('GET /ready')).toMatchObject({ status: 503 });
    expect((await world.json('GET /health')).status).toBe(200);
    world.links.database.mend();
    await expect.poll(async () => (await start()).status, { timeout: 15_000 }).toBe(200);
    await expect.poll(async () => (await world.json('GET /ready')).status, { timeout: 15_000 }).toBe(200);
  });

  it('sessions expire when it is back', async () => {
    const started = await start({ ttlSeconds: 1 });
    const { id } = started.body['session'] as { id: string };
    world.links.database.cut();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    world.links.database.mend();
    const state = async () => {
      const { body } = await world.rpc('GetSession', { zoneId: world.zone.id, sessionId: id }, { token });
      return (body['session'] as { state?: string } | undefined)?.state;
    };
    await expect.poll(state, { timeout: 15_000 }).toBe('SESSION_STATE_EXPIRED');
  });
});

describe('an enforcement point that does not answer', () => {
  it('lets the wait time out with its name, while the end stands', async () => {
    const root = (await start()).body['session'] as { id: string };
    const point = newId();
    await world.sts.sql('SELECT sts_pub.register_point($1, $2, $3)', [point, 'gateway', 'silent-replica']);
    const zoneId = world.zone.id;
    const of = { zoneId, sessionId: root.id, waitApplied: true };
    const refused = await world.rpc('EndSession', of, { token, headers: { 'connect-timeout-ms': '1500' } });
    expect(refused).toMatchObject({ reason: 'barrier_timeout' });
    expect(refused.status).toBeGreaterThanOrEqual(500);
    expect(JSON.stringify(refused.body)).toContain('gateway/silent-replica');
    const { body } = await world.rpc('GetSession', { zoneId, sessionId: root.id }, { token });
    expect(body).toMatchObject({ session: { state: 'SESSION_STATE_TERMINATED' } });
    const overGrpc = await world
      .grpc()
      .endSession(of, { timeoutMs: 1500, headers: { authorization: `Bearer ${token}` } })
      .catch((error: unknown) => failureFromConnect(error).reason);
    expect(overGrpc).toBe('barrier_timeout');
    const overJson = await world.json(`DELETE /zones/${zoneId}/agents/${root.id}?wait=applied&timeout_ms=300`, {
      token,
    });
    expect(overJson).toMatchObject({ status: 504, reason: 'barrier_timeout' });
    await world.sts.sql('DELETE FROM sts.enforcement_points WHERE id = $1', [point]);
    const waited = await world.rpc('EndSession', of, { token });
    expect(waited.body).toMatchObject({ barrier: { applied: true, points: 1 } });
  });
});
