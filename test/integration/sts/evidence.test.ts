import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hmacSha256Hex, sha256Hex } from '#mesh/canonical';
import { SYSTEM_ZONE, newId } from '#mesh/ids';
import { openAuthorize } from './authorize-client.ts';
import { allowAll, claimsOf, form, grantType, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let redis: Redis;
let zone: TestZone;
let app: TestApplication;
const calendar = 'resource://calendar';
const mail = 'resource://mail';

const denyMail = `package caracal.authz

default result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["mail"], "diagnostics": []}
result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["mail"], "diagnostics": [{"reason": "no mail"}]} if {
  input.resource.identifier == "${mail}"
}
`;

beforeAll(async () => {
  sts = await startSts();
  redis = new Redis(sts.installation.redis.running().url, { lazyConnect: true });
  await redis.connect();
  zone = await sts.zone();
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'any:read'] });
  await sts.resource(zone, { identifier: mail, scopes: ['mail:read', 'any:read'] });
  await sts.policy(zone, [denyMail, allowAll]);
}, 120_000);
afterAll(async () => {
  redis?.disconnect();
  await sts?.[Symbol.asyncDispose]();
});

interface Event {
  readonly zone_id: string;
  readonly event_type: string;
  readonly decision?: string;
  readonly evaluation_status?: string;
  readonly request_id: string;
  readonly input_json?: string;
  readonly input_digest?: string;
  readonly diagnostics?: unknown[];
  readonly determining_policies?: string[];
  readonly metadata: Record<string, unknown>;
}

/** The ledger's events of a request, each with a signature that verifies. */
async function eventsOf(requestId: string): Promise<Event[]> {
  const key = Buffer.from(sts.installation.stack.secrets.auditHmacKey, 'hex');
  const entries = await redis.xrange('caracal.audit.events', '-', '+');
  return entries.flatMap(([, fields]) => {
    const entry = Object.fromEntries(
      Array.from({ length: fields.length / 2 }, (_, n) => [fields[2 * n], fields[2 * n + 1]]),
    );
    const event = JSON.parse(entry['data'] ?? '{}') as Event;
    if (event.request_id !== requestId) return [];
    expect(entry['sig']).toBe(hmacSha256Hex(key, entry['data'] ?? ''));
    return [event];
  });
}

const exchange = async (
  fields: Record<string, string | string[]>,
): Promise<{ requestId: string; body: Record<string, unknown>; status: number }> => {
  const requestId = newId();
  const own = { grant_type: grantType, zone_id: zone.id, application_id: app.id, client_secret: app.secret };
  const reply = await sts.post('/oauth/2/token', form({ ...own, ...fields }), { 'x-request-id': requestId });
  return { requestId, body: reply.body, status: reply.status };
};

describe('the evidence of an exchange', () => {
  it('is left of a request nobody could read, under no zone it claims', async () => {
    const requestId = newId();
    const body = form({ grant_type: grantType, zone_id: zone.id, client_secret: app.secret, ttl_seconds: 'soon' });
    const reply = await sts.post('/oauth/2/token', body, { 'x-request-id': requestId });
    expect(reply).toMatchObject({ status: 400, body: { error: 'invalid_request', requestId } });
    const events = await eventsOf(requestId);
    expect(events).toMatchObject([
      {
        zone_id: SYSTEM_ZONE,
        event_type: 'token.exchange',
        decision: 'deny',
        metadata: { reason: 'invalid_request', fields: expect.arrayContaining(['ttl_seconds', 'application_id']) },
      },
    ]);
    expect(JSON.stringify(events)).not.toContain(app.secret);
  });

  it('is there when the answer is, one event per resource, with ids, input and reason', async () => {
    const { requestId, body } = await exchange({ resource: [calendar, mail] });
    const events = await eventsOf(requestId);
    expect(events).toHaveLength(2);
    const allowed = events.find(({ decision }) => decision === 'allow');
    const denied = events.find(({ decision }) => decision === 'deny');
    const claims = claimsOf({ status: 200, headers: {}, body });
    expect(allowed).toMatchObject({ zone_id: zone.id, event_type: 'token.exchange', evaluation_status: 'complete' });
    expect(allowed?.metadata).toMatchObject({
      resource: calendar,
      jti: claims.jti,
      sid: claims.sid,
      application_id: app.id,
    });
    expect(sha256Hex(allowed?.input_json ?? '')).toBe(allowed?.input_digest);
    expect(denied?.metadata).toMatchObject({ resource: mail, reason: 'policy_denied' });
    expect(denied?.metadata['jti']).toBeUndefined();
    expect(denied?.diagnostics).toEqual([{ reason: 'no mail' }]);
    expect(body['denied_resources']).toMatchObject([{ resource: mail, error: 'policy_denied' }]);
    for (const secret of [app.secret, String(body['access_token'])])
      expect(JSON.stringify(events)).not.toContain(secret);
  });

  it('names the system zone until a client is proven', async () => {
    const { requestId, status } = await exchange({ client_secret: 'wrong', resource: calendar });
    expect(status).toBe(401);
    const [event, ...more] = await eventsOf(requestId);
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      zone_id: SYSTEM_ZONE,
      decision: 'deny',
      metadata: { reason: 'invalid_client', claimed_zone_id: zone.id },
    });
  });

  it('has one event for a request refused as a whole', async () => {
    const { requestId } = await exchange({ resource: calendar, scope: 'calendar:write' });
    expect(await eventsOf(requestId)).toMatchObject([
      { zone_id: zone.id, decision: 'deny', metadata: { reason: 'invalid_scope' } },
    ]);
  });

  it('keeps the digest alone where the zone does not record inputs', async () => {
    await sts.sql('UPDATE api.zones SET record_inputs = false WHERE id = $1', [zone.id]);
    await sts.changed('caracal.resources.invalidate', zone.id, { kind: 'zone', id: zone.id });
    await expect
      .poll(async () => {
        const { requestId } = await exchange({ resource: calendar });
        const [event] = await eventsOf(requestId);
        return { input: event?.input_json, digest: event?.input_digest?.length };
      })
      .toEqual({ input: undefined, digest: 64 });
  });
});

describe('the evidence of a governed call', () => {
  it('is exactly one event per question, with the id the verdict names', async () => {
    const { body } = await exchange({ resource: calendar });
    await using gateway = await openAuthorize(sts);
    const mandate = String(body['access_token']);
    const requestId = newId();
    const refusedId = newId();
    const outcome = await gateway.ask({ mandate, zoneId: zone.id, resource: calendar, path: '/a', requestId });
    const refused = await gateway.ask({ mandate, zoneId: zone.id, resource: mail, requestId: refusedId });
    const [event, ...more] = await eventsOf(requestId);
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      event_type: 'gateway.decision',
      decision: 'allow',
      metadata: { method: 'GET', path: '/a', resource: calendar },
    });
    expect((event as unknown as { id: string }).id).toBe(outcome.value.eventId);
    expect(await eventsOf(refusedId)).toMatchObject([
      { decision: 'deny', id: refused.value.eventId, metadata: { reason: 'invalid_token', cause: 'wrong_target' } },
    ]);
  });

  it('is left of a call that the topology refuses', async () => {
    const { client } = sts.peer('gateway');
    await expect(client.policyStatus({ zoneId: zone.id })).rejects.toThrow();
    await expect
      .poll(async () => {
        const entries = await redis.xrange('caracal.audit.events', '-', '+');
        return JSON.stringify(entries).includes('rpc.refused');
      })
      .toBe(true);
  });
});
