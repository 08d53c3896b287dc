// The JSON routes as a plain HTTP user sees them: names, statuses and what they have in common with the RPCs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { parseMandate } from '#mesh/mandate';
import { type CoordinatorWorld, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;
let token: string;
let base: `/zones/${string}`;

beforeAll(async () => {
  world = await startCoordinatorWorld();
  token = await world.mandate();
  base = `/zones/${world.zone.id}`;
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

interface Agent {
  readonly id: string;
  readonly mandate: { readonly token: string };
}

async function spawn(by: string, body: object = {}): Promise<Agent> {
  const wish = { application_id: world.application.id, pass_lifecycle: true, mandate: true, ...body };
  const answer = await world.json(`POST ${base}/agents`, { token: by, body: wish });
  expect(answer).toMatchObject({ status: 201 });
  return answer.body as unknown as Agent;
}

describe('agents', () => {
  it('are started with what the body says', async () => {
    const sid = parseMandate(token)?.claims.sid;
    const answer = await world.json(`POST ${base}/agents`, {
      token,
      body: {
        application_id: world.application.id,
        parent_id: null,
        session_sid: sid,
        kind: 'instance',
        capabilities: ['search', 'mail'],
        metadata: { team: 'blue' },
        ttl_seconds: 60,
        scopes: ['read'],
        resources: ['calendar'],
      },
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      agent_session_id: answer.body['id'],
      zone_id: world.zone.id,
      application_id: world.application.id,
      parent_id: null,
      session_sid: sid,
      kind: 'instance',
      status: 'active',
      depth: 0,
      scopes: ['read'],
      resources: ['calendar'],
      capabilities: ['search', 'mail'],
      metadata: { team: 'blue' },
      ended_at: null,
    });
    const { spawned_at, expires_at } = answer.body as Record<string, string>;
    expect(Date.parse(expires_at ?? '') - Date.parse(spawned_at ?? '')).toBe(60_000);
    expect(answer.body['mandate']).toBeUndefined();
    const same = await world.rpc('GetSession', { zoneId: world.zone.id, sessionId: answer.body['id'] }, { token });
    expect(same.body).toMatchObject({ session: { scopes: ['read'], resources: ['calendar'] } });
  });

  it('are read, listed in pages, and their children below them', async () => {
    const root = await spawn(token);
    const children: string[] = [];
    for (let count = 0; count < 5; count += 1)
      children.push((await spawn(root.mandate.token, { parent_id: root.id })).id);
    expect((await world.json(`GET ${base}/agents/${root.id}`, { token })).body).toMatchObject({ id: root.id });
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await world.json(`GET ${base}/agents/${root.id}/children?limit=2${cursor}`, { token });
      seen.push(...(page.body['items'] as Agent[]).map(({ id }) => id));
      const next = page.body['next_cursor'];
      cursor = typeof next === 'string' ? `&cursor=${next}` : '';
    } while (cursor !== '');
    expect(seen).toEqual(children.toReversed());
    const active = await world.json(`GET ${base}/agents?status=active&limit=500`, { token });
    expect((active.body['items'] as Agent[]).map(({ id }) => id)).toEqual(expect.arrayContaining(children));
    const administrators = await world.json(`GET ${base}/agents/${root.id}/children`, { certificate: 'api' });
    expect(administrators.body['items']).toHaveLength(5);
  });

  it('are ended once with all below them, and again is 404', async () => {
    const root = await spawn(token);
    const child = await spawn(root.mandate.token, { parent_id: root.id });
    const ended = await world.json(`DELETE ${base}/agents/${root.id}?reason=finished`, { token });
    expect([ended.status, ended.body]).toEqual([204, {}]);
    const read = await world.json(`GET ${base}/agents/${child.id}`, { token });
    expect(read.body).toMatchObject({ status: 'terminated', ended_at: expect.stringMatching(/Z$/) });
    expect(await world.json(`DELETE ${base}/agents/${root.id}`, { token })).toMatchObject({ status: 404 });
    expect(await world.json(`DELETE ${base}/agents/${newId()}`, { token })).toMatchObject({ status: 404 });
    const waited = await world.json(`DELETE ${base}/agents/${(await spawn(token)).id}?wait=applied`, { token });
    expect(waited).toMatchObject({ status: 200, body: { barrier: { applied: true, points: 1, gone: 0 } } });
  });

  it('are started once for one key, which any visible characters may make up', async () => {
    for (const key of [newId(), `"${newId()}" / ~`.replaceAll(' ', '')]) {
      const headers = { 'idempotency-key': key };
      const body = { application_id: world.application.id };
      const first = await world.json(`POST ${base}/agents`, { token, headers, body });
      const second = await world.json(`POST ${base}/agents`, { token, headers, body });
      expect([first.status, second.status]).toEqual([201, 200]);
      expect(second.body['id']).toBe(first.body['id']);
      expect([first, second].map((answer) => answer.headers['idempotency-replayed'])).toEqual([undefined, 'true']);
      const other = await world.json(`POST ${base}/agents`, { token, headers, body: { ...body, ttl_seconds: 5 } });
      expect(other).toMatchObject({ status: 409, reason: 'conflict' });
    }
    const headers = { 'idempotency-key': 'x'.repeat(256) };
    const refused = await world.json(`POST ${base}/agents`, { token, headers, body: { application_id: 'a' } });
    expect(refused).toMatchObject({ status: 400, fields: ['Idempotency-Key'] });
  });

  it.each([
    [{ unheard_of: 1 }, 'unheard_of'],
    [{ application_id: 7 }, 'application_id'],
    [{ ttl_seconds: 0 }, 'ttl_seconds'],
    [{ ttl_seconds: 86_401 }, 'ttl_seconds'],
    [{ ttl_seconds: '60' }, 'ttl_seconds'],
    [{ kind: 'service' }, 'kind'],
    [{ session_sid: 'another' }, 'session_sid'],
    [{ metadata: { nested: {} } }, 'metadata.nested'],
    [{ metadata: { 'capability:x': 'true' } }, 'metadata'],
    [{ parent_id: 'not an id' }, 'parent_id'],
  ] as const)('are refused with the field named: %j', async (change, field) => {
    const body = { application_id: world.application.id, ...change };
    const answer = await world.json(`POST ${base}/agents`, { token, body });
    expect(answer).toMatchObject({ status: 400, reason: 'invalid_request', fields: [field] });
    expect(answer.body).toMatchObject({ error: 'invalid_request', requestId: answer.headers['x-request-id'] });
  });
});

describe('delegations', () => {
  it('are created, listed from both ends, revoked once with all derived from them', async () => {
    const root = await spawn(token);
    const by = root.mandate.token;
    const [one, two] = [await spawn(by, { parent_id: root.id }), await spawn(by, { parent_id: root.id })];
    const created = await world.json(`POST ${base}/delegations`, {
      token: by,
      body: {
        source_session_id: root.id,
        target_session_id: one.id,
        issuer_application_id: world.application.id,
        receiver_application_id: world.application.id,
        scopes: ['read'],
        constraints: { resources: ['calendar'], max_depth: 3 },
        constraints_json: { resources: ['mail'], ttl_seconds: 100 },
        expires_at: new Date(Date.now() + 90_000).toISOString(),
        mandate: true,
      },
    });
    expect(created).toMatchObject({
      status: 201,
      body: {
        status: 'active',
        scopes: ['read'],
        constraints: { resources: ['calendar'], max_hops: 3, ttl_seconds: 100 },
        parent_edge_id: null,
      },
    });
    const { id, delegation_edge_id, mandate } = created.body as {
      id: string;
      delegation_edge_id: string;
      mandate: { token: string };
    };
    expect(delegation_edge_id).toBe(id);
    expect(parseMandate(mandate.token)?.claims.delegation_path).toEqual([id]);
    const onward = await world.json(`POST ${base}/delegations`, {
      token: by,
      body: {
        source_session_id: one.id,
        target_session_id: two.id,
        parent_edge_id: id,
        scopes: ['read'],
        constraints: { ttl_seconds: 50 },
      },
    });
    expect(onward).toMatchObject({ status: 201, body: { parent_edge_id: id } });
    const list = async (route: string) => {
      const answer = await world.json(`GET ${base}/delegations/${route}`, { token });
      return (answer.body['items'] as { id: string; status: string }[]).map((edge) => [edge.id, edge.status]);
    };
    expect(await list(`outbound/${root.id}`)).toEqual([[id, 'active']]);
    expect(await list(`inbound/${one.id}`)).toEqual([[id, 'active']]);
    expect(await list(`inbound/${root.id}`)).toEqual([]);
    const revoked = await world.json(`PATCH ${base}/delegations/${id}/revoke?wait=applied`, { token: by });
    expect(revoked).toMatchObject({
      status: 200,
      body: { revoked_edges: 2, affected_sessions: 2, terminated_agents: 0, barrier: { applied: true } },
    });
    expect((await world.json(`PATCH ${base}/delegations/${id}/revoke`, { token: by })).status).toBe(404);
    expect(await list(`outbound/${one.id}`)).toEqual([[(onward.body as { id: string }).id, 'revoked']]);
  });

  it('past their expiry are told as expired', async () => {
    const root = await spawn(token);
    const child = await spawn(root.mandate.token, { parent_id: root.id });
    const body = { source_session_id: root.id, target_session_id: child.id, scopes: ['read'], ttl_seconds: 1 };
    expect((await world.json(`POST ${base}/delegations`, { token: root.mandate.token, body })).status).toBe(201);
    const status = async () => {
      const answer = await world.json(`GET ${base}/delegations/inbound/${child.id}`, { token });
      return (answer.body['items'] as { status: string }[])[0]?.status;
    };
    await expect.poll(status, { timeout: 10_000 }).toBe('expired');
  });

  it('are refused without an expiry, in the past, between other applications, and with constraints nobody keeps', async () => {
    const root = await spawn(token);
    const child = await spawn(root.mandate.token, { parent_id: root.id });
    const create = (change: object) =>
      world.json(`POST ${base}/delegations`, {
        token: root.mandate.token,
        body: { source_session_id: root.id, target_session_id: child.id, scopes: ['read'], ...change },
      });
    expect(await create({})).toMatchObject({ status: 400, fields: ['ttl_seconds'] });
    expect(await create({ expires_at: '2020-01-01T00:00:00Z' })).toMatchObject({ status: 400, fields: ['expires_at'] });
    expect(await create({ ttl_seconds: 9, issuer_application_id: newId() })).toMatchObject({ status: 409 });
    expect(await create({ ttl_seconds: 9, constraints: { budget: 3 } })).toMatchObject({
      status: 400,
      fields: ['constraints.budget'],
    });
    expect(await create({ ttl_seconds: 9, constraints: { max_hops: 11 } })).toMatchObject({ status: 400 });
    expect(await create({ ttl_seconds: 9, target_session_id: root.id })).toMatchObject({ reason: 'delegation_cycle' });
    expect(await create({ ttl_seconds: 9, scopes: ['admin'] })).toMatchObject({ status: 403 });
  });

  it('are as many as a session may have, and no more', async () => {
    const root = await spawn(token);
    const child = await spawn(root.mandate.token, { parent_id: root.id });
    await world.sts.inZone(
      world.zone.id,
      `INSERT INTO coordinator.delegation_edges (id, zone_id, source_session_id, target_session_id,
         issuer_application_id, receiver_application_id, scopes, max_hops, state, expires_at)
       SELECT '01900000-0000-7000-8000-' || lpad(n::text, 12, '0'), $1, $2, $3, $4, $4, '{read}', 1, 'active',
         now() + interval '5 min' FROM generate_series(1, 256) AS n`,
      [world.zone.id, root.id, child.id, world.application.id],
    );
    const body = { source_session_id: root.id, target_session_id: child.id, scopes: ['read'], ttl_seconds: 60 };
    const answer = await world.json(`POST ${base}/delegations`, { token: root.mandate.token, body });
    expect(answer).toMatchObject({ status: 429, reason: 'delegation_limit' });
  });
});
