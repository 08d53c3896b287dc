// Every RPC of the Coordinator as a client uses it, over Connect JSON by plain HTTP and over gRPC; idempotency and limits.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SessionState } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { newId } from '#mesh/ids';
import { parseMandate } from '#mesh/mandate';
import { type CoordinatorWorld, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;
let token: string;

beforeAll(async () => {
  world = await startCoordinatorWorld();
  token = await world.mandate();
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const claims = (mandate: string | undefined) => parseMandate(mandate ?? '')?.claims;

const by = (bearer: string) => ({ headers: { authorization: `Bearer ${bearer}` } });

describe('over gRPC', () => {
  it('a session is started, renewed, read and listed', async () => {
    const grpc = world.grpc();
    const zoneId = world.zone.id;
    const wish = { zoneId, applicationId: world.application.id, mandate: true, passLifecycle: true };
    const started = await grpc.startSession({ ...wish, labels: { purpose: 'test' } }, by(token));
    const root = started.session?.id ?? '';
    expect(started.session).toMatchObject({ state: SessionState.ACTIVE, depth: 0, scopes: ['read', 'write'] });
    expect(claims(started.mandate?.token)).toMatchObject({ agent_session_id: root, use: 'ambient' });
    const renewed = await grpc.renewSessionMandate({ zoneId, sessionId: root, scopes: ['read'] }, by(token));
    expect(claims(renewed.mandate?.token)).toMatchObject({ agent_session_id: root, scope: 'agent:lifecycle read' });
    const read = await grpc.getSession({ zoneId, sessionId: root }, by(token));
    expect(read.session).toMatchObject({ id: root, zoneId, resources: ['calendar', 'mail'] });
    const later = await grpc.startSession(wish, by(token));
    const listed = await grpc.listSessions({ zoneId, states: [SessionState.ACTIVE], limit: 1 }, by(token));
    expect([listed.sessions[0]?.id, listed.nextCursor === '']).toEqual([later.session?.id, false]);
  });

  it('a session is delegated to, cut off and ended, and its end is waited for again', async () => {
    const grpc = world.grpc();
    const zoneId = world.zone.id;
    const root = await world.start(token);
    const child = await world.start(root.token, { parentId: root.id });
    const ends = { zoneId, sourceSessionId: root.id, targetSessionId: child.id };
    const wish = { ...ends, scopes: ['read'], ttlSeconds: 60, mandate: true };
    const delegated = await grpc.createDelegation(wish, by(root.token));
    const edgeId = delegated.edge?.id ?? '';
    expect(delegated.edge).toMatchObject({ scopes: ['read'], issuerApplicationId: world.application.id });
    expect(claims(delegated.mandate?.token)).toMatchObject({ delegation_edge_id: edgeId });
    const revoked = await grpc.revokeDelegation({ zoneId, edgeId, waitApplied: true }, by(root.token));
    expect(revoked).toMatchObject({ revokedEdgeIds: [edgeId], barrier: { applied: true, points: 1 } });
    const end = { zoneId, sessionId: root.id, waitApplied: true };
    const ended = await grpc.endSession({ ...end, reason: 'done' }, by(token));
    expect(ended).toMatchObject({ endedSessionIds: [root.id, child.id], barrier: { applied: true } });
    const read = await grpc.getSession({ zoneId, sessionId: child.id }, by(token));
    expect(read.session?.state).toBe(SessionState.TERMINATED);
    const again = await grpc.endSession(end, by(token));
    expect(again).toMatchObject({ endedSessionIds: [], revocationNumber: 0n, barrier: { applied: true } });
  });
});

describe('over Connect JSON', () => {
  it('a session is started, read, listed, renewed, delegated to, cut off and ended', async () => {
    const zoneId = world.zone.id;
    const root = await world.start(token);
    const child = await world.start(root.token, { parentId: root.id });
    const renewed = await world.rpc('RenewSessionMandate', { zoneId, sessionId: root.id }, { token });
    expect(renewed).toMatchObject({ status: 200, body: { mandate: { resources: ['calendar', 'mail'] } } });
    const ends = { sourceSessionId: root.id, targetSessionId: child.id };
    const delegated = await world.delegate(root.token, { ...ends, mandate: true });
    expect(delegated).toMatchObject({ status: 200, body: { edge: { state: 'DELEGATION_STATE_ACTIVE' } } });
    const presented = { zoneId, sessionId: child.id, delegationEdgeId: delegated.edgeId };
    const again = await world.rpc('RenewSessionMandate', presented, { token: root.token });
    expect(claims((again.body['mandate'] as { token: string }).token)?.delegation_path).toEqual([delegated.edgeId]);
    const revoked = await world.rpc('RevokeDelegation', { zoneId, edgeId: delegated.edgeId }, { token: root.token });
    expect(revoked.body).toMatchObject({ revokedEdgeIds: [delegated.edgeId] });
    expect((await world.rpc('RenewSessionMandate', presented, { token: root.token })).reason).toBe(
      'delegation_not_active',
    );
    const ended = await world.rpc('EndSession', { zoneId, sessionId: root.id, waitApplied: true }, { token });
    expect(ended.body).toMatchObject({ endedSessionIds: [root.id, child.id], barrier: { applied: true, points: 1 } });
    const got = await world.rpc('GetSession', { zoneId, sessionId: child.id }, { token });
    expect(got.body).toMatchObject({ session: { state: 'SESSION_STATE_TERMINATED', depth: 1 } });
    expect((await world.rpc('ListSessions', { zoneId, limit: 1 }, { token })).body['sessions']).toHaveLength(1);
  });

  it('what does not exist is not found, and what has ended is not live', async () => {
    const zoneId = world.zone.id;
    const nothing = { zoneId, sessionId: newId() };
    for (const method of ['GetSession', 'EndSession', 'RenewSessionMandate'])
      expect(await world.rpc(method, nothing, { token }), method).toMatchObject({ status: 404, reason: 'not_found' });
    expect((await world.rpc('RevokeDelegation', { zoneId, edgeId: newId() }, { token })).reason).toBe('not_found');
    const root = await world.start(token);
    await world.rpc('EndSession', { zoneId, sessionId: root.id }, { token });
    const renew = await world.rpc('RenewSessionMandate', { zoneId, sessionId: root.id }, { token });
    expect(renew).toMatchObject({ status: 400, reason: 'session_not_live' });
    const below = { zoneId, applicationId: world.application.id, parentId: root.id };
    expect((await world.rpc('StartSession', below, { token: root.token })).reason).toBe('token_revoked');
  });
});

describe('an idempotency key', () => {
  const start = (wish: object, by = token) =>
    world.rpc('StartSession', { zoneId: world.zone.id, applicationId: world.application.id, ...wish }, { token: by });
  const idOf = (answer: { body: Readonly<Record<string, unknown>> }) => (answer.body['session'] as { id: string }).id;

  it('answers with the first session, mints once, and refuses another request', async () => {
    const idempotencyKey = newId();
    const first = await start({ idempotencyKey, mandate: true });
    const second = await start({ idempotencyKey, mandate: true });
    expect(idOf(second)).toBe(idOf(first));
    expect(second.body['mandate']).toBeUndefined();
    expect(await start({ idempotencyKey })).toMatchObject({ status: 409, reason: 'conflict' });
  });

  it('makes one session of many calls at once', async () => {
    const idempotencyKey = newId();
    const answers = await Promise.all(Array.from({ length: 20 }, () => start({ idempotencyKey, mandate: true })));
    expect(new Set(answers.map(idOf)).size).toBe(1);
    expect(answers.filter(({ body }) => body['mandate'] !== undefined)).toHaveLength(1);
  });

  it('belongs to the application that used it', async () => {
    const other = await world.sts.application(world.zone);
    const theirs = await world.mandate({}, other);
    const idempotencyKey = newId();
    const mine = await start({ idempotencyKey });
    expect((await start({ idempotencyKey }, theirs)).reason).toBe('permission_denied');
    const own = await start({ idempotencyKey, applicationId: other.id }, theirs);
    expect(own.status).toBe(200);
    expect(idOf(own)).not.toBe(idOf(mine));
  });

  it('makes one edge of many calls at once', async () => {
    const root = await world.start(token);
    const child = await world.start(root.token, { parentId: root.id });
    const wish = { sourceSessionId: root.id, targetSessionId: child.id, idempotencyKey: newId() };
    const answers = await Promise.all(Array.from({ length: 10 }, () => world.delegate(root.token, wish)));
    expect(new Set(answers.map(({ edgeId }) => edgeId)).size).toBe(1);
    const other = await world.delegate(root.token, { ...wish, scopes: ['write'] });
    expect(other).toMatchObject({ status: 409, reason: 'conflict' });
  });

  it('of a start whose mandate was refused is free again', async () => {
    const idempotencyKey = newId();
    const wish = { idempotencyKey, mandate: true, scopes: ['read'] };
    world.links.sts.cut();
    const refused = await start(wish);
    world.links.sts.mend();
    expect(refused).toMatchObject({ status: 503, reason: 'sts_unavailable' });
    const answer = await start(wish);
    expect(answer).toMatchObject({ status: 200, body: { session: { state: 'SESSION_STATE_ACTIVE' } } });
    expect(answer.body['mandate']).toBeDefined();
  });
});
