// private_key_jwt at the token endpoint (RFC 7523, RFC 10070), against a real STS and Redis.
import { createHmac, createPublicKey, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SYSTEM_ZONE, newId } from '#mesh/ids';
import { clientAssertion, clientAssertionType, clientKey } from '../../support/assertions.ts';
import type { AssertionParts } from '../../support/assertions.ts';
import { ledgerEventsOf } from './ledger-events.ts';
import { allowAll, form, grantType, startSts } from './sts-installation.ts';
import type { Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

const keys = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'].map((alg) => clientKey(alg));
const [ecKey, , rsaKey] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];
const calendar = 'resource://calendar';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;
let issuer: string;

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone, { publicKeys: keys.map(({ publicJwk }) => publicJwk) });
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read'] });
  await sts.policy(zone, [allowAll]);
  issuer = String((await sts.get('/.well-known/oauth-authorization-server')).body['issuer']);
  // What was signed before Redis began to remember counts as used, and a fresh Redis begins now.
  await vi.waitFor(async () => expect(outcome(await present(await signed()))).toBe('granted'), {
    timeout: 30_000,
    interval: 200,
  });
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

async function present(assertion: string, fields: Record<string, string | undefined> = {}): Promise<Reply> {
  const asked = { grant_type: grantType, zone_id: zone.id, client_id: app.id, resource: calendar };
  const authentication = { client_assertion_type: clientAssertionType, client_assertion: assertion };
  return sts.post('/oauth/2/token', form({ ...asked, ...authentication, ...fields }));
}

const signed = async (changes: Partial<AssertionParts> = {}, key = ecKey): Promise<string> =>
  clientAssertion(key, { clientId: app.id, issuer, ...changes });

function outcome({ status, body }: Reply): string {
  return status === 200 ? 'granted' : `${status} ${String(body['error'])}`;
}

// First: later on so many fail that refusals of strangers are only sampled.
describe('evidence', () => {
  it('says how an assertion was wrong, to those who may read it', async () => {
    const requestId = `assertion-${randomUUID()}`;
    const fields = { grant_type: grantType, zone_id: zone.id, client_id: app.id, resource: calendar };
    const assertion = await signed({ claims: { aud: `${issuer}/oauth/2/token` } });
    const body = form({ ...fields, client_assertion_type: clientAssertionType, client_assertion: assertion });
    const reply = await sts.post('/oauth/2/token', body, { 'x-request-id': requestId });
    expect(outcome(reply)).toBe('401 invalid_client');
    expect(JSON.stringify(reply.body)).not.toContain('audience');
    const events = await vi.waitFor(
      async () => {
        const found = await ledgerEventsOf(sts, requestId);
        expect(found).toHaveLength(1);
        return found;
      },
      { timeout: 30_000, interval: 100 },
    );
    expect(events[0]).toMatchObject({
      zone_id: SYSTEM_ZONE,
      decision: 'deny',
      metadata: { claimed_zone_id: zone.id, cause: 'assertion_for_another_audience', application_id: app.id },
    });
    expect(JSON.stringify(events)).not.toContain(assertion.slice(0, 40));
  });
});

describe('an assertion', () => {
  it.each(keys.map((key) => [key.alg, key] as const))('signed with %s authenticates its client', async (_alg, key) => {
    expect(outcome(await present(await signed({}, key)))).toBe('granted');
  });

  it('names its client by itself, and without typ and kid where one key fits', async () => {
    const assertion = await signed({ header: { typ: undefined, kid: undefined } });
    expect(outcome(await present(assertion, { client_id: undefined }))).toBe('granted');
    expect(outcome(await present(await signed({ claims: { aud: [issuer] } })))).toBe('granted');
  });

  it('counts once', async () => {
    const assertion = await signed();
    const outcomes = await Promise.all([1, 2, 3, 4].map(async () => outcome(await present(assertion))));
    expect(outcomes.toSorted()).toEqual(['401 invalid_client', '401 invalid_client', '401 invalid_client', 'granted']);
    expect(outcome(await present(assertion))).toBe('401 invalid_client');
  });

  it('counts once by its jti, whatever else changes, and only for its own client', async () => {
    const jti = randomUUID();
    expect(outcome(await present(await signed({ claims: { jti } })))).toBe('granted');
    expect(outcome(await present(await signed({ claims: { jti, exp: Math.floor(Date.now() / 1000) + 90 } })))).toBe(
      '401 invalid_client',
    );
    const other = await sts.application(zone, { publicKeys: [ecKey.publicJwk] });
    const own = await signed({ clientId: other.id, claims: { jti } });
    expect(outcome(await present(own, { client_id: other.id }))).toBe('granted');
  });

  const now = (): number => Math.floor(Date.now() / 1000);
  it.each([
    ['for the token endpoint', () => ({ claims: { aud: `${issuer}/oauth/2/token` } })],
    ['for several audiences', () => ({ claims: { aud: [issuer, `${issuer}/oauth/2/token`] } })],
    ['of another client', () => ({ claims: { iss: newId(), sub: newId() } })],
    ['that another issued', () => ({ claims: { iss: newId() } })],
    ['that has expired', () => ({ claims: { iat: now() - 200, exp: now() - 90 } })],
    ['that lives for an hour', () => ({ claims: { exp: now() + 3600 } })],
    ['without an end', () => ({ claims: { exp: undefined } })],
    ['of the future', () => ({ claims: { iat: now() + 120, nbf: now() + 120, exp: now() + 180 } })],
    ['without a jti', () => ({ claims: { jti: undefined } })],
    ['with an unknown kid', () => ({ header: { kid: 'elsewhere' } })],
    ['made for another purpose', () => ({ header: { typ: 'dpop+jwt' } })],
  ])('%s is refused', async (_name, changes) => {
    expect(outcome(await present(await signed(changes())))).toBe('401 invalid_client');
  });

  it('signed with a key that is not registered is refused, and so is a tampered one', async () => {
    const stranger = clientKey('ES256', ecKey.kid);
    expect(outcome(await present(await signed({}, stranger)))).toBe('401 invalid_client');
    const [header, , signature] = (await signed()).split('.');
    const [, other] = (await signed()).split('.');
    expect(outcome(await present(`${header}.${other}.${signature}`))).toBe('401 invalid_client');
  });

  it('without a signature, or signed with what is public, is refused', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: app.id, sub: app.id, aud: issuer, exp: now() + 60, jti: randomUUID() };
    expect(outcome(await present(`${part({ alg: 'none' })}.${part(claims)}.`))).toBe('401 invalid_client');
    const pem = createPublicKey({ key: rsaKey.publicJwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const signing = `${part({ alg: 'HS256', kid: rsaKey.kid })}.${part(claims)}`;
    const mac = createHmac('sha256', pem).update(signing).digest('base64url');
    expect(outcome(await present(`${signing}.${mac}`))).toBe('401 invalid_client');
  });

  it('with a key of its own in the header is judged by the registered ones', async () => {
    const stranger = clientKey('ES256');
    const header = { jwk: stranger.publicJwk, kid: ecKey.kid, jku: 'https://elsewhere.test/jwks' };
    expect(outcome(await present(await signed({ header }, stranger)))).toBe('401 invalid_client');
  });

  it.each(['', 'x', 'a.b', '..', 'a.b.c.d', `${'a'.repeat(5000)}.b.c`, 'e30.e30.e30'])(
    'that is none (%#) is refused, never with a server error',
    async (assertion) => {
      const reply = await present(assertion);
      expect(reply.status === 401 || reply.status === 400).toBe(true);
    },
  );
});

describe('methods', () => {
  it('are one per request', async () => {
    const secretApp = await sts.application(zone);
    const basic = `Basic ${Buffer.from(`${app.id}:${secretApp.secret}`).toString('base64')}`;
    expect(outcome(await present(await signed(), { client_secret: secretApp.secret }))).toBe('400 invalid_request');
    const fields = { grant_type: grantType, zone_id: zone.id, client_assertion_type: clientAssertionType };
    const both = form({ ...fields, client_assertion: await signed() });
    expect(outcome(await sts.post('/oauth/2/token', both, { authorization: basic }))).toBe('400 invalid_request');
  });

  it('come with their type, and with one that is known', async () => {
    expect(outcome(await present(await signed(), { client_assertion_type: undefined }))).toBe('400 invalid_request');
    expect(
      outcome(
        await present(await signed(), {
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer',
        }),
      ),
    ).toBe('401 invalid_client');
  });

  it('are those of the credential type: no secret where it signs, no assertion where it has a secret', async () => {
    const secretApp = await sts.application(zone);
    const assertion = await signed({ clientId: secretApp.id });
    expect(outcome(await present(assertion, { client_id: secretApp.id }))).toBe('401 invalid_client');
    const fields = { grant_type: grantType, zone_id: zone.id, client_id: app.id, client_secret: secretApp.secret };
    expect(outcome(await sts.post('/oauth/2/token', form(fields)))).toBe('401 invalid_client');
  });
});

describe('whoever is not the client', () => {
  it('learns nothing of what exists: unknown client, unknown zone and wrong key say the same', async () => {
    const stranger = clientKey('ES256');
    const unknown = newId();
    const replies = [
      await present(await signed({}, stranger)),
      await present(await signed({ clientId: unknown }, stranger), { client_id: unknown }),
      await present(await signed({}, stranger), { zone_id: newId() }),
    ];
    const said = replies.map(({ status, body }) => [status, body['error'], body['error_description']]);
    expect(new Set(said.map(String)).size).toBe(1);
    expect(said[0]?.[0]).toBe(401);
  });

  it('is told to wait after sixty failures, which the right client is not', async () => {
    const victim = await sts.application(zone, { publicKeys: [ecKey.publicJwk] });
    const stranger = clientKey('ES256', ecKey.kid);
    const wrong = async (): Promise<Reply> =>
      present(await signed({ clientId: victim.id }, stranger), { client_id: victim.id });
    const replies: Reply[] = [];
    for (let batch = 0; batch < 7; batch += 1) replies.push(...(await Promise.all(Array.from({ length: 10 }, wrong))));
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(60);
    const late = replies.filter(({ status }) => status === 429);
    expect(late).toHaveLength(10);
    expect(Number(late[0]?.headers['retry-after'])).toBeGreaterThan(0);
    const right = await signed({ clientId: victim.id });
    expect(outcome(await present(right, { client_id: victim.id }))).toBe('granted');
  });
});
