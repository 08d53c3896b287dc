// POST /oauth/2/introspect (RFC 7662) and /oauth/2/revoke (RFC 7009) on real stores: who learns what, and what ends.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { newId } from '#mesh/ids';
import { clientAssertion, clientAssertionType, clientKey } from '../../support/assertions.ts';
import { ledgerEventsOf } from './ledger-events.ts';
import type { LedgerEvent } from './ledger-events.ts';
import { allowAll, claimsOf, form, startSts } from './sts-installation.ts';
import type { FormFields, Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let otherZone: TestZone;
let app: TestApplication;
let stranger: TestApplication;
let server: TestApplication;
let issuer: string;
const calendar = 'resource://calendar';
const mail = 'resource://mail';
const serverKey = clientKey('ES256');

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  otherZone = await sts.zone();
  for (const resource of [calendar, mail]) {
    await sts.resource(zone, { identifier: resource, scopes: ['any:read', 'any:write'] });
  }
  app = await sts.application(zone);
  stranger = await sts.application(zone);
  server = await sts.application(zone, { publicKeys: [serverKey.publicJwk], serves: [calendar] });
  await sts.policy(zone, [allowAll]);
  issuer = String((await sts.get('/.well-known/oauth-authorization-server')).body['issuer']);
  await vi.waitFor(async () => expect((await askAsServer('x')).status).toBe(200), { timeout: 30_000, interval: 200 });
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

const inactive = { active: false };

async function ambient(fields: FormFields = {}): Promise<string> {
  return String(
    (await sts.token(app, { resource: [calendar, mail], scope: 'any:read', ...fields })).body['access_token'],
  );
}

async function perCall(subject: string, fields: FormFields = {}): Promise<string> {
  const reply = await sts.token(app, { subject_token: subject, resource: calendar, ...fields });
  return String(reply.body['access_token']);
}

function own(application: TestApplication): Record<string, string> {
  return { zone_id: application.zone.id, client_id: application.id, client_secret: application.secret };
}

async function ask(application: TestApplication, token: string, fields: FormFields = {}): Promise<Reply> {
  return sts.post('/oauth/2/introspect', form({ ...own(application), token, ...fields }));
}

async function askAsServer(token: string): Promise<Reply> {
  const assertion = await clientAssertion(serverKey, { clientId: server.id, issuer });
  const authentication = { client_assertion_type: clientAssertionType, client_assertion: assertion };
  return sts.post('/oauth2/introspect', form({ zone_id: zone.id, token, ...authentication }));
}

async function revoke(application: TestApplication, token: string, fields: FormFields = {}): Promise<Reply> {
  return sts.post('/oauth/2/revoke', form({ ...own(application), token, ...fields }));
}

async function eventsOf(requestId: string, count: number): Promise<LedgerEvent[]> {
  const look = async (): Promise<LedgerEvent[]> => {
    const found = await ledgerEventsOf(sts, requestId);
    expect(found).toHaveLength(count);
    return found;
  };
  return vi.waitFor(look, { timeout: 30_000, interval: 100 });
}

function expectInactive(reply: Reply): void {
  expect({ status: reply.status, body: reply.body }).toEqual({ status: 200, body: inactive });
  expect(reply.headers['cache-control']).toBe('no-store');
}

describe('introspection', () => {
  it('tells the client it was issued to what an ambient mandate says', async () => {
    const token = await ambient();
    const reply = await ask(app, token);
    const { rev, ...claims } = claimsOf({ body: { access_token: token } } as unknown as Reply);
    expect(rev).toEqual(expect.any(Number));
    expect(reply.status).toBe(200);
    expect(reply.body).toEqual({ active: true, token_type: 'Bearer', ...claims });
    expect(reply.headers['cache-control']).toBe('no-store');
  });

  it('tells who serves the resource of a per-call mandate, and nobody else', async () => {
    const subject = await ambient();
    const token = await perCall(subject);
    expect((await askAsServer(token)).body).toMatchObject({
      active: true,
      aud: [calendar],
      use: 'per_call',
      scope: 'any:read',
      client_id: app.id,
      zone_id: zone.id,
    });
    expectInactive(await ask(stranger, token));
    expectInactive(await askAsServer(await perCall(subject, { resource: mail })));
  });

  it('never tells a resource server of an ambient mandate, whose audience is the STS', async () => {
    expectInactive(await askAsServer(await ambient({ resource: calendar })));
  });

  it('does not use up a per-call mandate', async () => {
    const token = await perCall(await ambient());
    for (let times = 0; times < 3; times += 1) expect((await askAsServer(token)).body['active']).toBe(true);
  });

  it('says the same of another zone, of an unknown client of it, and of what is no token', async () => {
    const token = await ambient();
    const elsewhere = await sts.application(otherZone, { serves: [calendar, issuer] });
    expectInactive(await ask(elsewhere, token));
    for (const text of ['x', `${token}x`, token.slice(0, -4), 'a.b.c', '{}', token.replace('.', '..')]) {
      expectInactive(await ask(app, text));
    }
  });

  it('says the same of a mandate that has expired', async () => {
    const token = await ambient({ ttl_seconds: '1' });
    expect((await ask(app, token)).body['active']).toBe(true);
    await vi.waitFor(async () => expectInactive(await ask(app, token)), { timeout: 30_000, interval: 500 });
  });

  it('asks who asks first, by any method, and takes no query, no second method and no other form', async () => {
    const token = await ambient();
    const basic = `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString('base64')}`;
    const byBasic = form({ zone_id: zone.id, token, token_type_hint: 'refresh_token' });
    expect((await sts.post('/oauth/2/introspect', byBasic, { authorization: basic })).body['active']).toBe(true);
    const refused = async (fields: FormFields, headers = {}): Promise<string> => {
      const reply = await sts.post('/oauth/2/introspect', form({ ...own(app), token, ...fields }), headers);
      expect(reply.headers['cache-control']).toBe('no-store');
      return `${reply.status} ${String(reply.body['error'])}`;
    };
    expect(await refused({ client_secret: stranger.secret })).toBe('401 invalid_client');
    expect(await refused({ client_secret: undefined })).toBe('401 invalid_client');
    expect(await refused({}, { authorization: basic })).toBe('400 invalid_request');
    expect(await refused({ token: undefined })).toBe('400 invalid_request');
    expect(await refused({ token: ['a', 'b'] })).toBe('400 invalid_request');
    expect(await refused({ token: 'x'.repeat(9000) })).toBe('400 invalid_request');
    expect(await refused({ zone_id: undefined })).toBe('400 invalid_request');
    expect(await refused({}, { 'x-caracal-gateway-signature': 'x' })).toBe('400 invalid_request');
    expect((await sts.post(`/oauth/2/introspect?token=${token}`, form(own(app)))).status).toBe(400);
    expect((await sts.post('/oauth/2/introspect', '{}', { 'content-type': 'application/json' })).status).toBe(415);
    expect((await sts.post('/oauth/2/introspect', `x=${'a'.repeat(70_000)}`)).status).toBe(413);
    expect((await sts.get('/oauth/2/introspect')).status).toBe(405);
  });

  it('leaves evidence of who asked about a token of somebody else', async () => {
    const token = await ambient();
    const requestId = `introspect-${randomUUID()}`;
    const body = form({ ...own(stranger), token });
    await sts.post('/oauth/2/introspect', body, { 'x-request-id': requestId });
    const [event] = await eventsOf(requestId, 1);
    expect(event).toMatchObject({
      event_type: 'token.introspect',
      decision: 'deny',
      zone_id: zone.id,
      metadata: { application_id: stranger.id, issued_to: app.id, cause: 'token_of_another_client' },
    });
  });
});

describe('revocation', () => {
  it('of an ambient mandate ends it and everything that was derived from it, once it says it is applied', async () => {
    const token = await ambient();
    const derived = await perCall(token);
    const sibling = await ambient();
    const reply = await revoke(app, token, { wait: 'applied' });
    expect(reply).toMatchObject({ status: 200, body: { applied: true, revocation_number: expect.any(Number) } });
    expect(reply.headers['cache-control']).toBe('no-store');
    expectInactive(await ask(app, token));
    expectInactive(await askAsServer(derived));
    expect((await sts.token(app, { subject_token: token, resource: calendar })).status).toBe(401);
    expect((await ask(app, sibling)).body['active']).toBe(true);
  });

  it('of a per-call mandate ends that one alone', async () => {
    const subject = await ambient();
    const [first, second] = [await perCall(subject), await perCall(subject)];
    expect((await revoke(app, first, { wait: 'applied', token_type_hint: 'access_token' })).status).toBe(200);
    expectInactive(await askAsServer(first));
    expect((await askAsServer(second)).body['active']).toBe(true);
    expect((await ask(app, subject)).body['active']).toBe(true);
  });

  it('without waiting answers with nothing to read, and takes effect soon', async () => {
    const token = await ambient();
    expect(await revoke(app, token)).toMatchObject({ status: 200, body: {} });
    await vi.waitFor(async () => expectInactive(await ask(app, token)), { timeout: 30_000, interval: 20 });
  });

  it('repeated writes nothing more, and can still be waited for', async () => {
    const token = await ambient();
    await revoke(app, token, { wait: 'applied' });
    const count = async (): Promise<unknown> =>
      (await sts.sql<{ n: string }>('SELECT count(*) AS n FROM sts.revocations WHERE zone_id = $1', [zone.id]))[0]?.n;
    const before = await count();
    expect((await revoke(app, token)).status).toBe(200);
    const waited = await revoke(app, token, { wait: 'applied', timeout_ms: '5000' });
    expect(waited).toMatchObject({ status: 200, body: { applied: true } });
    expect(waited.body).not.toHaveProperty('revocation_number');
    expect(await count()).toBe(before);
  });

  it('of what is no token of this zone answers 200 and does nothing', async () => {
    const outsider = await sts.application(otherZone);
    const token = await ambient();
    for (const text of ['x', `${token}x`, 'a.b.c']) expect((await revoke(app, text)).status).toBe(200);
    expect((await revoke(outsider, token)).status).toBe(200);
    expect((await ask(app, token)).body['active']).toBe(true);
  });

  it('by another client, even one that serves the resource, is refused and changes nothing', async () => {
    const token = await perCall(await ambient());
    const requestId = `revoke-${randomUUID()}`;
    const body = form({ ...own(stranger), token });
    const reply = await sts.post('/oauth2/revoke', body, { 'x-request-id': requestId });
    expect(reply).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect((await ask(app, token)).body['active']).toBe(true);
    const [event] = await eventsOf(requestId, 1);
    expect(event).toMatchObject({ event_type: 'token.revoke', decision: 'deny', zone_id: zone.id });
  });

  it('by whoever is no client is refused, and wait is read strictly', async () => {
    const token = await ambient();
    const outcome = async (fields: FormFields): Promise<string> => {
      const reply = await revoke(app, token, fields);
      return `${reply.status} ${String(reply.body['error'])}`;
    };
    expect(await outcome({ client_secret: stranger.secret })).toBe('401 invalid_client');
    expect(await outcome({ client_id: newId() })).toBe('401 invalid_client');
    expect(await outcome({ wait: 'yes' })).toBe('400 invalid_request');
    expect(await outcome({ wait: 'applied', timeout_ms: '60000' })).toBe('400 invalid_request');
    expect(await outcome({ wait: 'applied', timeout_ms: '-1' })).toBe('400 invalid_request');
    expect((await ask(app, token)).body['active']).toBe(true);
  });

  it('leaves evidence of who ended what', async () => {
    const token = await ambient();
    const requestId = `revoke-${randomUUID()}`;
    const body = form({ ...own(app), token });
    await sts.post('/oauth/2/revoke', body, { 'x-request-id': requestId });
    const [event] = await eventsOf(requestId, 1);
    const { jti, sid } = claimsOf({ body: { access_token: token } } as unknown as Reply);
    expect(event).toMatchObject({
      event_type: 'token.revoked',
      decision: 'allow',
      zone_id: zone.id,
      metadata: { application_id: app.id, jti, anchor: sid, anchor_kind: 'session', use: 'ambient' },
    });
    expect(JSON.stringify(event)).not.toContain(token.slice(-40));
  });
});
