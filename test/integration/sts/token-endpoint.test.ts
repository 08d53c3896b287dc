import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { formatSecret } from '../../../services/sts/domain/client-secret.ts';
import { allowAll, claimsOf, form, grantType, startSts } from './sts-installation.ts';
import type { Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

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
  await sts.resource(zone, { identifier: mail, scopes: ['mail:read', 'calendar:read'] });
  await sts.policy(zone, [allowAll]);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

function expectRefusal(reply: Reply, status: number, error: string): void {
  expect({ status: reply.status, error: reply.body['error'] }).toEqual({ status, error });
  expect(reply.headers['cache-control']).toBe('no-store');
  expect(reply.body['requestId']).toEqual(expect.any(String));
  expect(reply.body['access_token']).toBeUndefined();
}

const whole = (): Record<string, string> => ({
  grant_type: grantType,
  zone_id: zone.id,
  application_id: app.id,
  client_secret: app.secret,
  resource: calendar,
});

describe('an ambient mint', () => {
  it('says what was granted and writes one session record', async () => {
    const reply = await sts.token(app, { resource: calendar, scope: 'calendar:read' });
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ token_type: 'Bearer', scope: 'calendar:read', target_resources: [calendar] });
    expect(reply.headers['cache-control']).toBe('no-store');
    const claims = claimsOf(reply);
    expect(claims).toMatchObject({
      use: 'ambient',
      aud: [claims.iss],
      sub: app.id,
      client_id: app.id,
      zone_id: zone.id,
    });
    expect(claims).toMatchObject({ target: [calendar], scope: 'calendar:read', root_sid: claims.sid });
    expect(claims.exp - claims.iat).toBe(900);
    const rows = await sts.sql('SELECT root_id, application_id FROM sts.session_records WHERE id = $1', [claims.sid]);
    expect(rows).toEqual([{ root_id: claims.sid, application_id: app.id }]);
  });

  it('grants all that its resources have in common when no scope is named, lifecycle excepted', async () => {
    const reply = await sts.token(app, { resource: [calendar, mail] });
    expect(reply.body['scope']).toBe('calendar:read');
    expect(reply.body['target_resources']).toEqual([calendar, mail]);
    expect((await sts.token(app, { resource: mail })).body['scope']).toBe('calendar:read mail:read');
  });

  it('opens session lifecycle only when asked, with or without resources', async () => {
    const alone = await sts.token(app, { scope: 'agent:lifecycle' });
    expect(alone.body).toMatchObject({ scope: 'agent:lifecycle', target_resources: [] });
    expect(claimsOf(alone).target).toBeUndefined();
    const beside = await sts.token(app, { scope: 'agent:lifecycle calendar:read', resource: calendar });
    expect(beside.body).toMatchObject({ scope: 'agent:lifecycle calendar:read', target_resources: [calendar] });
    expectRefusal(await sts.token(app), 400, 'invalid_target');
    expectRefusal(await sts.token(app, { scope: 'agent:lifecycle calendar:read' }), 400, 'invalid_scope');
  });

  it('refuses a scope the resource does not have, and grants known resources beside unknown ones', async () => {
    expectRefusal(await sts.token(app, { resource: calendar, scope: 'calendar:delete' }), 400, 'invalid_scope');
    expectRefusal(await sts.token(app, { resource: calendar, scope: 'calendar:read mail:read' }), 400, 'invalid_scope');
    expectRefusal(await sts.token(app, { resource: 'resource://nowhere' }), 400, 'invalid_target');
    const one = await sts.token(app, { resource: [calendar, mail], scope: 'mail:read' });
    expect(one.body).toMatchObject({ target_resources: [mail], scope: 'mail:read' });
    expect(one.body['denied_resources']).toMatchObject([{ resource: calendar, error: 'invalid_scope' }]);
    await sts.resource(zone, { identifier: 'resource://apart', scopes: ['apart'] });
    const apart = await sts.token(app, { resource: [calendar, 'resource://apart'] });
    expectRefusal(apart, 400, 'invalid_scope');
    expect(String(apart.body['error_description'])).toContain('one by one');
    const partial = await sts.token(app, { resource: [calendar, 'resource://nowhere'] });
    expect(partial.body['target_resources']).toEqual([calendar]);
    expect(partial.body['denied_resources']).toEqual([
      expect.objectContaining({ resource: 'resource://nowhere', error: 'invalid_target' }),
    ]);
  });

  it('caps by class and refuses what asks for more', async () => {
    expect((await sts.token(app, { resource: calendar, ttl_seconds: '3600' })).body['expires_in']).toBe(3600);
    expect((await sts.token(app, { resource: calendar, ttl_seconds: '0' })).body['expires_in']).toBe(900);
    expectRefusal(await sts.token(app, { resource: calendar, ttl_seconds: '3601' }), 400, 'invalid_request');
    expectRefusal(await sts.token(app, { resource: calendar, ttl_seconds: '-1' }), 400, 'invalid_request');
    expectRefusal(await sts.token(app, { resource: calendar, ttl_seconds: 'soon' }), 400, 'invalid_request');
  });
});

describe('a per_call mint', () => {
  it('narrows from its subject, keeps its line and writes no record', async () => {
    const ambient = await sts.token(app, { resource: [calendar, mail], scope: 'calendar:read' });
    const before = await sts.sql('SELECT count(*)::int AS n FROM sts.session_records');
    const reply = await sts.token(app, { subject_token: String(ambient.body['access_token']), resource: calendar });
    expect(reply.body).toMatchObject({ scope: 'calendar:read', target_resources: [calendar] });
    const claims = claimsOf(reply);
    expect(claims).toMatchObject({ use: 'per_call', aud: [calendar], target: [calendar] });
    expect(claims.sid).toBe(claimsOf(ambient).sid);
    expect(claims.exp).toBeLessThanOrEqual(claimsOf(ambient).exp);
    expect(await sts.sql('SELECT count(*)::int AS n FROM sts.session_records')).toEqual(before);
  });

  it('never reaches a resource or scope its subject lacks', async () => {
    const ambient = await sts.token(app, { resource: calendar, scope: 'calendar:read' });
    const subject_token = String(ambient.body['access_token']);
    expectRefusal(await sts.token(app, { subject_token, resource: mail }), 400, 'invalid_target');
    expectRefusal(
      await sts.token(app, { subject_token, resource: calendar, scope: 'calendar:write' }),
      400,
      'invalid_scope',
    );
    expectRefusal(await sts.token(app, { subject_token, scope: 'agent:lifecycle' }), 400, 'invalid_scope');
    expectRefusal(
      await sts.token(app, { subject_token, resource: calendar, ttl_seconds: '901' }),
      400,
      'invalid_request',
    );
  });

  it('is refused to every client but the one its subject was issued to', async () => {
    const other = await sts.application(zone);
    const subject_token = String((await sts.token(app, { resource: calendar })).body['access_token']);
    expectRefusal(await sts.token(other, { subject_token, resource: calendar }), 401, 'invalid_token');
  });

  it('takes only ambient mandates of this zone and issuer as subject', async () => {
    const ambient = String((await sts.token(app, { resource: calendar })).body['access_token']);
    const perCall = String((await sts.token(app, { subject_token: ambient, resource: calendar })).body['access_token']);
    expectRefusal(await sts.token(app, { subject_token: perCall, resource: calendar }), 401, 'invalid_token');
    expectRefusal(
      await sts.token(app, { subject_token: `${ambient.slice(0, -4)}AAAA`, resource: calendar }),
      401,
      'invalid_token',
    );
    const elsewhere = await sts.zone();
    const stranger = await sts.application(elsewhere);
    await sts.resource(elsewhere, { identifier: calendar, scopes: ['calendar:read'] });
    expectRefusal(await sts.token(stranger, { subject_token: ambient, resource: calendar }), 401, 'invalid_token');
  });

  it('dies with an anchor on anything above it', async () => {
    for (const kind of ['session', 'application', 'subject', 'jti'] as const) {
      const own = await sts.application(zone);
      const reply = await sts.token(own, { resource: calendar });
      const claims = claimsOf(reply);
      const anchor = { session: claims.sid, application: own.id, subject: claims.sub, jti: claims.jti }[kind];
      await sts.inZone(zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [
        zone.id,
        JSON.stringify([{ kind, anchor }]),
        'test',
      ]);
      await expect
        .poll(
          async () =>
            (await sts.token(own, { subject_token: String(reply.body['access_token']), resource: calendar })).status,
        )
        .toBe(401);
      // An anchor kills what was issued before it and never the id: the application may mint anew.
      expect((await sts.token(own, { resource: calendar })).status).toBe(200);
    }
  });
});

describe('client authentication', () => {
  it('takes the secret in the form or by HTTP Basic, never both', async () => {
    const basic = `Basic ${Buffer.from(`${app.id}:${app.secret}`).toString('base64')}`;
    const { client_secret: _, application_id: __, ...rest } = whole();
    expect((await sts.post('/oauth2/token', form(rest), { authorization: basic })).status).toBe(200);
    expectRefusal(await sts.post('/oauth/2/token', form(whole()), { authorization: basic }), 400, 'invalid_request');
    expectRefusal(await sts.post('/oauth/2/token', form(rest), { authorization: 'Basic !!' }), 401, 'invalid_client');
  });

  it('answers wrong secret, unknown application, unknown zone and foreign zone alike', async () => {
    const other = await sts.zone();
    const foreign = await sts.application(other);
    const guesses = [
      { client_secret: 'junk' },
      { client_secret: formatSecret(zone.checkKey, randomBytes(32), app.id) },
      { application_id: newId() },
      { zone_id: newId() },
      { zone_id: 'no-uuid' },
      { application_id: foreign.id, client_secret: foreign.secret },
      { client_secret: '' },
    ];
    for (const guess of guesses) {
      const reply = await sts.post('/oauth/2/token', form({ ...whole(), ...guess }));
      expectRefusal(reply, 401, 'invalid_client');
      expect(reply.body['error_description']).toBe('The client could not be authenticated.');
      expect(reply.headers['www-authenticate']).toContain('Basic');
    }
  });

  it('forgets a secret when its hash changes and an application when it is archived', async () => {
    const own = await sts.application(zone);
    expect((await sts.token(own, { resource: calendar })).status).toBe(200);
    await sts.sql('UPDATE api.applications SET archived_at = now() WHERE id = $1', [own.id]);
    await sts.changed('caracal.resources.invalidate', zone.id, { kind: 'application', id: own.id });
    await expect.poll(async () => (await sts.token(own, { resource: calendar })).status, { timeout: 20_000 }).toBe(401);
    const expired = await sts.application(zone);
    await sts.sql("UPDATE api.applications SET expires_at = now() - interval '1 s' WHERE id = $1", [expired.id]);
    expectRefusal(await sts.token(expired, { resource: calendar }), 401, 'invalid_client');
  });

  it('counts failures per source without locking out who is right', async () => {
    const own = await sts.application(zone);
    const guess = async (): Promise<number> =>
      (await sts.token({ ...own, secret: 'csk_guess' }, { resource: calendar })).status;
    const statuses = await Promise.all(Array.from({ length: 70 }, guess));
    expect(statuses.filter((status) => status === 401)).toHaveLength(60);
    expect(statuses.filter((status) => status === 429)).toHaveLength(10);
    expect((await sts.token(own, { resource: calendar })).status).toBe(200);
  });
});

describe('the form', () => {
  it('is refused with parameters in the query, another media type, too large, or not posted', async () => {
    expectRefusal(await sts.post(`/oauth/2/token?zone_id=${zone.id}`, form(whole())), 400, 'invalid_request');
    expectRefusal(
      await sts.post('/oauth/2/token', JSON.stringify(whole()), { 'content-type': 'application/json' }),
      415,
      'unsupported_media_type',
    );
    expectRefusal(
      await sts.post('/oauth/2/token', 'a=1', { 'content-type': 'text/plain' }),
      415,
      'unsupported_media_type',
    );
    expectRefusal(await sts.post('/oauth/2/token', `x=${'a'.repeat(70_000)}`), 413, 'payload_too_large');
    expect((await sts.get('/oauth/2/token')).status).toBe(405);
  });

  it('is refused with a repeated singleton and a foreign grant type', async () => {
    expectRefusal(await sts.post('/oauth/2/token', `${form(whole())}&zone_id=${zone.id}`), 400, 'invalid_request');
    expectRefusal(
      await sts.post('/oauth/2/token', form({ ...whole(), grant_type: 'client_credentials' })),
      400,
      'unsupported_grant_type',
    );
    expectRefusal(await sts.post('/oauth/2/token', form({ ...whole(), grant_type: '' })), 400, 'invalid_request');
  });

  it('names what it cannot do yet', async () => {
    for (const name of ['session_id', 'approval_id']) {
      const reply = await sts.post('/oauth/2/token', form({ ...whole(), [name]: 'x' }));
      expectRefusal(reply, 400, 'invalid_request');
      expect(String(reply.body['error_description'])).toContain(name);
    }
    expectRefusal(
      await sts.post('/oauth/2/token', form(whole()), { 'x-caracal-gateway-signature': 'x' }),
      400,
      'invalid_request',
    );
    expectRefusal(await sts.post('/oauth/2/token', form(whole()), { dpop: 'x' }), 400, 'invalid_dpop_proof');
  });

  it('never answers hostile forms with a server error', async () => {
    const name = fc.constantFrom(
      ...Object.keys(whole()),
      'scope',
      'subject_token',
      'subject_token_type',
      'actor_token',
      'actor_token_type',
      'challenge_id',
      'agent_session_id',
      'ttl_seconds',
      'delegation_edge_id',
      '',
    );
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ maxLength: 50 }),
      fc.constantFrom(zone.id, app.id, app.secret, grantType, calendar, '%00', '../', '__proto__'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 12 }), fc.boolean(), async (pairs, based) => {
        const parts = pairs.map(
          ([key, text]) => `${encodeURIComponent(key.toWellFormed())}=${encodeURIComponent(text.toWellFormed())}`,
        );
        const body = [...(based ? [form(whole())] : []), ...parts].join('&');
        const reply = await sts.post('/oauth/2/token', body);
        expect(reply.status).toBeLessThan(500);
        if (reply.status !== 200)
          expect(reply.body).toMatchObject({ error: expect.any(String), requestId: expect.any(String) });
      }),
      { numRuns: 150 },
    );
  });
});

describe('what exists for exchange', () => {
  it('is nothing of an archived resource or zone', async () => {
    const own = await sts.zone();
    const client = await sts.application(own);
    await sts.policy(own, [allowAll]);
    const id = await sts.resource(own, { identifier: calendar, scopes: ['calendar:read'] });
    expect((await sts.token(client, { resource: calendar })).status).toBe(200);
    await sts.sql('UPDATE api.resources SET archived_at = now() WHERE id = $1', [id]);
    await sts.changed('caracal.resources.invalidate', own.id, { kind: 'resource', id });
    await expect
      .poll(async () => (await sts.token(client, { resource: calendar })).status, { timeout: 20_000 })
      .toBe(400);
    await sts.sql('UPDATE api.zones SET archived_at = now() WHERE id = $1', [own.id]);
    await sts.changed('caracal.resources.invalidate', own.id, { kind: 'zone', id: own.id });
    await expect
      .poll(async () => (await sts.token(client, { resource: calendar })).status, { timeout: 20_000 })
      .toBe(401);
    expect((await sts.get(`/v1/zones/${own.id}/jwks`)).status).toBe(404);
  });
});

describe('published keys and metadata', () => {
  it('are served at the three paths with their cache headers', async () => {
    const paths = [
      `/.well-known/jwks.json?zone_id=${zone.id}`,
      `/zones/${zone.id}/.well-known/jwks.json`,
      `/v1/zones/${zone.id}/jwks`,
    ];
    for (const path of paths) {
      const reply = await sts.get(path);
      expect(reply.status).toBe(200);
      expect(reply.headers['cache-control']).toBe('public, max-age=300, must-revalidate');
      expect(reply.headers['x-content-type-options']).toBe('nosniff');
      expect(reply.body).toEqual({
        keys: [expect.objectContaining({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })],
      });
    }
    expect((await sts.get('/.well-known/jwks.json')).status).toBe(400);
    expect((await sts.get(`/v1/zones/${newId()}/jwks`)).status).toBe(404);
    expect((await sts.get('/v1/zones/..%2f/jwks')).status).toBe(400);
  });

  it('follow RFC 8414, with jwks_uri per zone only', async () => {
    const whole = await sts.get('/.well-known/oauth-authorization-server');
    expect(whole.body).toMatchObject({
      issuer: expect.any(String),
      token_endpoint: expect.stringMatching(/\/oauth\/2\/token$/),
    });
    expect(whole.body['jwks_uri']).toBeUndefined();
    const own = await sts.get(`/zones/${zone.id}/.well-known/oauth-authorization-server`);
    expect(own.body['jwks_uri']).toBe(`${String(whole.body['issuer'])}/zones/${zone.id}/.well-known/jwks.json`);
  });
});
