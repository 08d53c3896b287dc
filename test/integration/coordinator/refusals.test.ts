// Who is refused at the Coordinator and in which words: each documented reason over Connect JSON, the JSON routes and gRPC.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { failureFromConnect } from '#mesh/rpc';
import { type CoordinatorWorld, lifecycle, startCoordinatorWorld } from './coordinator-world.ts';
import { type Forge, publishedForger } from './forged-mandates.ts';

let world: CoordinatorWorld;
let forged: Forge;

beforeAll(async () => {
  world = await startCoordinatorWorld();
  forged = await publishedForger(world);
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const seconds = (): number => Math.floor(Date.now() / 1000);

/** The same question in the three ways it can be asked. */
async function ask(token: string | undefined) {
  const zoneId = world.zone.id;
  const connect = await world.rpc('ListSessions', { zoneId }, { token });
  const json = await world.json(`GET /zones/${zoneId}/agents`, { token });
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const grpc = await world
    .grpc()
    .listSessions({ zoneId }, { headers })
    .then(
      () => 'answered',
      (error: unknown) => failureFromConnect(error).reason,
    );
  const word = json.body['error'];
  const told = (json.body['details'] as { reason?: string } | undefined)?.reason ?? word;
  return { connect: [connect.status, connect.reason], grpc, json: [json.status, told] };
}

const refusedWith = (status: number, reason: string) => ({
  connect: [status, reason],
  grpc: reason,
  json: [status, reason],
});

describe('a caller', () => {
  const cases: readonly (readonly [string, () => string | undefined | Promise<string>, readonly [number, string]])[] = [
    ['without bearer', () => undefined, [401, 'unauthenticated']],
    ['with a token that is none', () => 'nonsense', [401, 'invalid_token']],
    ['with an expired mandate', () => forged({ iat: seconds() - 1800, exp: seconds() - 900 }), [401, 'invalid_token']],
    [
      'with a mandate of the future',
      () => forged({ iat: seconds() + 600, exp: seconds() + 900 }),
      [401, 'invalid_token'],
    ],
    ['with a per_call mandate', () => forged({ use: 'per_call', aud: ['calendar'] }), [401, 'invalid_token']],
    ['with a per_call mandate for the issuer', () => forged({ use: 'per_call' }), [401, 'invalid_token']],
    ['with a mandate for somebody else', () => forged({ aud: ['https://elsewhere.example'] }), [401, 'invalid_token']],
    ['with a mandate of another issuer', () => forged({ iss: 'https://elsewhere.example' }), [401, 'invalid_token']],
    ['with what the Gateway sends to an upstream', () => forged({ via: 'gateway' }), [401, 'invalid_token']],
    ['with a mandate bound to a key', () => forged({ cnf: { jkt: 'a'.repeat(43) } }), [401, 'invalid_token']],
    ['with a life longer than the cap', () => forged({ exp: seconds() + 100_000 }), [401, 'invalid_token']],
    ['without agent:lifecycle', () => world.mandate({ scope: 'read write' }), [403, 'insufficient_scope']],
    ['without any scope', () => forged({}, ['scope']), [403, 'insufficient_scope']],
  ];

  it.each(cases)('%s is refused', async (_name, token, refusal) => {
    expect(await ask(await token())).toEqual(refusedWith(...refusal));
  });

  it('with a genuine forger’s mandate is answered, so that the refusals above are about their one change', async () => {
    expect(await ask(forged())).toMatchObject({ connect: [200, undefined], grpc: 'answered', json: [200, undefined] });
  });

  it('of another zone is told so and nothing else', async () => {
    const foreignZone = await world.sts.zone();
    const foreign = await world.sts.application(foreignZone);
    await world.sts.resource(foreignZone, { identifier: 'calendar', scopes: ['read'] });
    await world.sts.policy(foreignZone, [
      'package caracal.authz\n\nresult := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["all"], "diagnostics": []}\n',
    ]);
    const token = await world.mandate({ resource: 'calendar', scope: `read ${lifecycle}` }, foreign);
    expect(await ask(token)).toEqual(refusedWith(403, 'zone_mismatch'));
    const own = await world.start(await world.mandate());
    const peek = { zoneId: foreignZone.id, sessionId: own.id };
    expect(await world.rpc('GetSession', peek, { token })).toMatchObject({ status: 404, reason: 'not_found' });
    expect(await world.rpc('EndSession', peek, { token })).toMatchObject({ status: 404, reason: 'not_found' });
  });

  it('is refused from the moment an anchor of its mandate is committed, until one minted after it', async () => {
    const application = await world.sts.application(world.zone);
    const token = await world.mandate({}, application);
    expect((await ask(token)).grpc).toBe('answered');
    await world.sts.inZone(world.zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [
      world.zone.id,
      JSON.stringify([{ kind: 'application', anchor: application.id }]),
      'test',
    ]);
    expect(await ask(token)).toEqual(refusedWith(401, 'token_revoked'));
    const renewed = async () => (await ask(await world.mandate({}, application))).grpc;
    await expect.poll(renewed, { timeout: 10_000 }).toBe('answered');
  });

  it('that is refused over HTTP is challenged', async () => {
    const answer = await world.json(`GET /zones/${world.zone.id}/agents`);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    expect(answer.headers['x-request-id']).toBe(answer.body['requestId']);
  });
});

describe('a certificate', () => {
  const list = async (certificate: 'api' | 'sts' | 'gateway' | 'audit' | 'operator') => {
    const zoneId = world.zone.id;
    const { status, reason } = await world.rpc('ListSessions', { zoneId }, { certificate });
    const json = await world.json(`GET /zones/${zoneId}/agents`, { certificate });
    const grpc = await world
      .grpc(certificate)
      .listSessions({ zoneId })
      .then(
        () => undefined,
        (error: unknown) => failureFromConnect(error).reason,
      );
    expect([json.status, json.reason, grpc]).toEqual([status, reason, reason]);
    return [status, reason];
  };

  it('of the API opens what an administrator may do', async () => {
    expect(await list('api')).toEqual([200, undefined]);
    const { id } = await world.start(await world.mandate());
    const call = { certificate: 'api' } as const;
    const of = { zoneId: world.zone.id, sessionId: id };
    expect((await world.rpc('GetSession', of, call)).status).toBe(200);
    expect((await world.rpc('EndSession', of, call)).body).toMatchObject({ endedSessionIds: [id] });
  });

  it.each(['sts', 'gateway', 'audit', 'operator'] as const)('of %s opens nothing by itself', async (certificate) => {
    expect(await list(certificate)).toEqual([403, 'permission_denied']);
  });

  it('does not stand in the way of a mandate', async () => {
    const token = await world.mandate();
    const answer = await world.rpc('ListSessions', { zoneId: world.zone.id }, { token, certificate: 'operator' });
    expect(answer.status).toBe(200);
  });

  it('mints nothing without a mandate, the API’s included', async () => {
    const zoneId = world.zone.id;
    const { id } = await world.start(await world.mandate());
    const start = { zoneId, applicationId: world.application.id, mandate: true };
    const edge = { zoneId, sourceSessionId: id, targetSessionId: newId(), scopes: ['read'], ttlSeconds: 60 };
    for (const [method, message] of [
      ['StartSession', start],
      ['RenewSessionMandate', { zoneId, sessionId: id }],
      ['CreateDelegation', edge],
    ] as const) {
      const refused = await world.rpc(method, message, { certificate: 'api' });
      expect(refused, method).toMatchObject({ status: 403, reason: 'permission_denied' });
    }
  });
});

describe('another application of the zone', () => {
  it('neither sees, ends, renews nor delegates what is not its own', async () => {
    const zoneId = world.zone.id;
    const { id } = await world.start(await world.mandate());
    const other = await world.sts.application(world.zone);
    const token = await world.mandate({}, other);
    const of = { zoneId, sessionId: id };
    expect((await world.rpc('GetSession', of, { token })).reason).toBe('not_found');
    expect((await world.rpc('EndSession', of, { token })).reason).toBe('permission_denied');
    expect((await world.rpc('RenewSessionMandate', of, { token })).reason).toBe('permission_denied');
    const own = await world.start(token, { applicationId: other.id });
    const edge = await world.delegate(token, { sourceSessionId: id, targetSessionId: own.id });
    expect(edge.reason).toBe('permission_denied');
    const started = await world.rpc('StartSession', { zoneId, applicationId: world.application.id }, { token });
    expect(started.reason).toBe('permission_denied');
    expect((await world.json(`GET /zones/${zoneId}/agents/${id}/children`, { token })).status).toBe(404);
    expect((await world.json(`GET /zones/${zoneId}/delegations/outbound/${id}`, { token })).status).toBe(404);
    const listed = await world.rpc('ListSessions', { zoneId, limit: 500 }, { token });
    expect((listed.body['sessions'] as { id: string }[]).map((session) => session.id)).toEqual([own.id]);
  });
});

describe('what is not there yet', () => {
  it.each([
    'PATCH /zones/z/agents/a/suspend',
    'PATCH /zones/z/agents/a/resume',
    'POST /zones/z/agents/a/heartbeat',
    'POST /zones/z/agent-services',
    'POST /zones/z/invocations',
    'GET /zones/z/delegations/e/traverse',
    'POST /v1/begin',
  ] as const)('%s is 404', async (route) => {
    const token = await world.mandate();
    expect(await world.json(route, { token, body: {} })).toMatchObject({ status: 404, reason: 'not_found' });
  });
});
