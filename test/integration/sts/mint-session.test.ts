import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failureFromConnect } from '#mesh/rpc';
import type { MandateClaims } from '#mesh/mandate';
import { parseMandate } from '#mesh/mandate';
import type { FailureReason } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { openAuthorize } from './authorize-client.ts';
import { allowAll, claimsOf, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;
const calendar = 'resource://calendar';
const mail = 'resource://mail';

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'calendar:write'] });
  await sts.resource(zone, { identifier: mail, scopes: ['calendar:read', 'calendar:write'] });
  await sts.policy(zone, [allowAll]);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

interface SessionFields {
  readonly parentId?: string;
  readonly depth?: number;
  readonly scopes?: readonly string[];
  readonly resources?: readonly string[];
  readonly sid: string;
  readonly passLifecycle?: boolean;
  readonly application?: TestApplication;
  readonly ttlSeconds?: number;
}

async function session(fields: SessionFields): Promise<string> {
  const id = newId();
  const owner = fields.application ?? app;
  await sts.sql(
    `INSERT INTO coordinator.agent_sessions (id, zone_id, application_id, parent_id, root_id, kind, state, depth, scopes,
       resources, client_id, sid, pass_lifecycle, expires_at)
     VALUES ($1::text, $2, $3::text, $4, coalesce($5, $1::text), 'instance', 'active', $6, $7, $8, $3::text, $9, $10,
       now() + make_interval(secs => $11))`,
    [
      id,
      zone.id,
      owner.id,
      fields.parentId ?? null,
      fields.parentId ?? null,
      fields.depth ?? (fields.parentId === undefined ? 0 : 1),
      fields.scopes ?? ['calendar:read', 'calendar:write'],
      fields.resources ?? [calendar, mail],
      fields.sid,
      fields.passLifecycle ?? false,
      fields.ttlSeconds ?? 600,
    ],
  );
  return id;
}

interface EdgeFields {
  readonly source: string;
  readonly target: string;
  readonly scopes: readonly string[];
  readonly resources?: readonly string[];
  readonly parentEdgeId?: string;
  readonly maxHops?: number;
  readonly from?: TestApplication;
  readonly to?: TestApplication;
}

async function edge(fields: EdgeFields): Promise<string> {
  const id = newId();
  await sts.sql(
    `INSERT INTO coordinator.delegation_edges (id, zone_id, source_session_id, target_session_id, issuer_application_id,
       receiver_application_id, parent_edge_id, scopes, resources, max_hops, state, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'active', now() + interval '5 min')`,
    [
      id,
      zone.id,
      fields.source,
      fields.target,
      (fields.from ?? app).id,
      (fields.to ?? app).id,
      fields.parentEdgeId ?? null,
      fields.scopes,
      fields.resources ?? [],
      fields.maxHops ?? 3,
    ],
  );
  return id;
}

async function lifecycleMandate(
  scope = 'agent:lifecycle calendar:read calendar:write',
): Promise<{ token: string; claims: MandateClaims }> {
  const reply = await sts.token(app, { resource: [calendar, mail], scope });
  return { token: String(reply.body['access_token']), claims: claimsOf(reply) };
}

interface Wanted {
  readonly scopes?: string[];
  readonly resources?: string[];
  readonly delegationEdgeId?: string;
  readonly ttlSeconds?: number;
  readonly minDelegationEpoch?: bigint;
  readonly zoneId?: string;
}

async function mint(bearer: string, agentSessionId: string, wanted: Wanted = {}): Promise<MandateClaims> {
  const { client } = sts.peer('coordinator');
  const response = await client.mintSession({ bearer, zoneId: zone.id, agentSessionId, ...wanted });
  const parsed = parseMandate(response.mandate);
  if (!parsed) throw new Error('no mandate');
  expect(response.jti).toBe(parsed.claims.jti);
  return parsed.claims;
}

async function refusal(work: Promise<unknown>): Promise<FailureReason> {
  try {
    await work;
  } catch (error) {
    return failureFromConnect(error).reason;
  }
  throw new Error('nothing was refused');
}

describe('a session mandate', () => {
  it('is the caller’s authority within the session’s holding, under the caller’s line', async () => {
    const caller = await lifecycleMandate();
    const root = await session({
      sid: caller.claims.sid,
      scopes: ['calendar:read', 'mail:read'],
      resources: [calendar],
    });
    const claims = await mint(caller.token, root);
    expect(claims).toMatchObject({
      use: 'ambient',
      agent_session_id: root,
      scope: 'calendar:read',
      target: [calendar],
    });
    expect(claims).toMatchObject({ sid: caller.claims.sid, root_sid: caller.claims.root_sid, client_id: app.id });
    expect(claims.exp).toBeLessThanOrEqual(caller.claims.exp);
    expect(await sts.sql('SELECT 1 FROM sts.session_records WHERE agent_session_id = $1', [root])).toEqual([]);
  });

  it('carries lifecycle only when it was passed on', async () => {
    const caller = await lifecycleMandate();
    const without = await mint(caller.token, await session({ sid: caller.claims.sid }));
    expect(without.scope).not.toContain('agent:lifecycle');
    const holding = await mint(caller.token, await session({ sid: caller.claims.sid, passLifecycle: true }));
    expect(holding.scope).toContain('agent:lifecycle');
  });

  it('is refused without lifecycle, to a foreign application, to a stranger session and to itself', async () => {
    const plain = await lifecycleMandate('calendar:read');
    const caller = await lifecycleMandate();
    const root = await session({ sid: caller.claims.sid, passLifecycle: true });
    expect(await refusal(mint(plain.token, root))).toBe('insufficient_scope');
    expect(await refusal(mint('junk', root))).toBe('invalid_token');
    const other = await sts.application(zone);
    const foreign = await session({ sid: caller.claims.sid, application: other });
    expect(await refusal(mint(caller.token, foreign))).toBe('session_not_live');
    const rootClaims = await sts
      .peer('coordinator')
      .client.mintSession({ bearer: caller.token, zoneId: zone.id, agentSessionId: root });
    expect(await refusal(mint(rootClaims.mandate, root))).toBe('permission_denied');
    const child = await session({ sid: caller.claims.sid, parentId: root });
    expect(await refusal(mint(caller.token, child))).toBe('permission_denied');
    expect((await mint(rootClaims.mandate, child)).agent_session_id).toBe(child);
    expect(await refusal(mint(caller.token, newId()))).toBe('session_not_live');
    expect(await refusal(mint(caller.token, root, { zoneId: (await sts.zone()).id }))).toBe('invalid_token');
  });

  it('never exceeds what is asked for, and refuses what cannot be', async () => {
    const caller = await lifecycleMandate();
    const root = await session({ sid: caller.claims.sid, scopes: ['calendar:read'], resources: [calendar] });
    expect((await mint(caller.token, root, { scopes: ['calendar:read'] })).scope).toBe('calendar:read');
    expect(await refusal(mint(caller.token, root, { scopes: ['calendar:read', 'calendar:write'] }))).toBe(
      'invalid_scope',
    );
    expect(await refusal(mint(caller.token, root, { resources: [mail] }))).toBe('invalid_target');
    expect(await refusal(mint(caller.token, root, { ttlSeconds: 3601 }))).toBe('invalid_request');
    const short = await session({ sid: caller.claims.sid, ttlSeconds: 30 });
    const claims = await mint(caller.token, short, { ttlSeconds: 3600 });
    expect(claims.exp - claims.iat).toBeLessThanOrEqual(30);
  });

  it('is refused for a session that has ended, though it was read before', async () => {
    const caller = await lifecycleMandate();
    const root = await session({ sid: caller.claims.sid });
    await mint(caller.token, root);
    await sts.inZone(
      zone.id,
      `WITH ended AS (UPDATE coordinator.agent_sessions SET state = 'terminated', ended_at = now() WHERE id = $1)
       SELECT sts_pub.revoke($2, $3, 'ended')`,
      [root, zone.id, JSON.stringify([{ kind: 'agent_session', anchor: root }])],
    );
    await expect.poll(async () => refusal(mint(caller.token, root)).catch(() => 'minted')).toBe('session_not_live');
  });

  it('waits for a graph epoch its caller has caused, and gives up when it never comes', async () => {
    const caller = await lifecycleMandate();
    const root = await session({ sid: caller.claims.sid });
    expect(await refusal(mint(caller.token, root, { minDelegationEpoch: 999n }))).toBe('store_unavailable');
  });
});

describe('a delegated mandate', () => {
  it('is bounded by every edge of its path and says the whole chain', async () => {
    const caller = await lifecycleMandate();
    const root = await session({ sid: caller.claims.sid, passLifecycle: true });
    const child = await session({ sid: caller.claims.sid, parentId: root });
    const bearer = await sts
      .peer('coordinator')
      .client.mintSession({ bearer: caller.token, zoneId: zone.id, agentSessionId: root });
    const delegated = await edge({ source: root, target: child, scopes: ['calendar:read'], resources: [calendar] });
    const claims = await mint(bearer.mandate, child, { delegationEdgeId: delegated });
    expect(claims).toMatchObject({
      scope: 'calendar:read',
      target: [calendar],
      delegation_edge_id: delegated,
      delegation_path: [delegated],
      hop_count: 1,
      source_session_id: root,
      target_session_id: child,
      delegation_chain: [
        { app: app.id, session: root, edge: delegated },
        { app: app.id, session: child },
      ],
    });
    const wide = await edge({ source: root, target: child, scopes: ['calendar:read', 'calendar:write'] });
    expect((await mint(bearer.mandate, child, { delegationEdgeId: wide })).target).toEqual([calendar, mail]);
    expect(await refusal(mint(bearer.mandate, root, { delegationEdgeId: delegated }))).toBe('delegation_not_active');
  });

  it('serves a receiver in another application through its own mint, and dies with the edge', async () => {
    const caller = await lifecycleMandate();
    const source = await session({ sid: caller.claims.sid });
    const partner = await sts.application(zone);
    const target = await session({ sid: newId(), application: partner, scopes: [], resources: [] });
    const id = await edge({ source, target, scopes: ['calendar:read'], resources: [calendar], to: partner });
    const fields = { resource: calendar, agent_session_id: target, delegation_edge_id: id };
    const reply = await sts.token(partner, fields);
    expect(reply.body).toMatchObject({ scope: 'calendar:read', target_resources: [calendar] });
    expect(claimsOf(reply)).toMatchObject({ agent_session_id: target, delegation_edge_id: id, sub: partner.id });
    expect((await sts.token(app, fields)).status).toBe(403);
    expect((await sts.token(partner, { ...fields, resource: mail })).status).toBe(400);
    expect((await sts.token(partner, { ...fields, scope: 'calendar:write' })).status).toBe(400);
    await using gateway = await openAuthorize(sts);
    const mandate = String(reply.body['access_token']);
    const ask = async (): Promise<string> => (await gateway.ask({ mandate, zoneId: zone.id, resource: calendar })).kind;
    expect(await ask()).toBe('allowed');
    await sts.inZone(
      zone.id,
      `WITH gone AS (UPDATE coordinator.delegation_edges SET state = 'revoked', revoked_at = now() WHERE id = $1)
       SELECT sts_pub.revoke($2, $3, 'revoked')`,
      [id, zone.id, JSON.stringify([{ kind: 'edge', anchor: id }])],
    );
    await expect.poll(ask).toBe('refused');
    expect((await sts.token(partner, fields)).status).toBe(403);
  });

  it('is refused on a path that widens, breaks or is too long for its first edge', async () => {
    const caller = await lifecycleMandate();
    const [a, b, c] = [
      await session({ sid: caller.claims.sid, passLifecycle: true }),
      await session({ sid: caller.claims.sid }),
      await session({ sid: caller.claims.sid }),
    ];
    const first = await edge({ source: a, target: b, scopes: ['calendar:read'], maxHops: 2 });
    const widening = await edge({
      source: b,
      target: c,
      scopes: ['calendar:read', 'calendar:write'],
      parentEdgeId: first,
      maxHops: 1,
    });
    const far = await edge({ source: b, target: c, scopes: ['calendar:read'], parentEdgeId: first, maxHops: 2 });
    const fine = await edge({ source: b, target: c, scopes: ['calendar:read'], parentEdgeId: first, maxHops: 1 });
    const present = async (id: string): Promise<number> =>
      (await sts.token(app, { resource: calendar, agent_session_id: c, delegation_edge_id: id })).status;
    expect(await present(widening)).toBe(403);
    expect(await present(far)).toBe(403);
    expect(await present(fine)).toBe(200);
    expect(await present(newId())).toBe(403);
  });
});
