// What clients are told while Redis or Postgres is away: never a guess, and never more than is true.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { clientAssertion, clientAssertionType, clientKey } from '../../support/assertions.ts';
import { allowAll, form, grantType, startSts } from './sts-installation.ts';
import type { FormFields, Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;
let signing: TestApplication;
let issuer: string;
const key = clientKey('ES256');
const calendar = 'resource://calendar';
const patience = { timeout: 30_000, interval: 200 };

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone);
  signing = await sts.application(zone, { publicKeys: [key.publicJwk] });
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read'] });
  await sts.policy(zone, [allowAll]);
  issuer = String((await sts.get('/.well-known/oauth-authorization-server')).body['issuer']);
  await vi.waitFor(async () => expect(outcome(await byAssertion())).toBe('200'), patience);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

function outcome({ status, body }: Reply): string {
  return status === 200 ? '200' : `${status} ${String(body['error'])}`;
}

async function byAssertion(): Promise<Reply> {
  const assertion = await clientAssertion(key, { clientId: signing.id, issuer });
  const fields = { grant_type: grantType, zone_id: zone.id, resource: calendar };
  const authentication = { client_assertion_type: clientAssertionType, client_assertion: assertion };
  return sts.post('/oauth/2/token', form({ ...fields, ...authentication }));
}

async function send(path: string, token: string, fields: FormFields = {}): Promise<Reply> {
  const own = { zone_id: zone.id, client_id: app.id, client_secret: app.secret };
  return sts.post(path, form({ ...own, token, ...fields }));
}

const introspect = async (token: string): Promise<Reply> => send('/oauth/2/introspect', token);
const mint = async (): Promise<string> => String((await sts.token(app, { resource: calendar })).body['access_token']);

describe('while Redis is away', () => {
  it('assertions are refused as unknown, secrets are not, and revocation and introspection go on', async () => {
    const token = await mint();
    await sts.installation.redis.running().stop();
    try {
      expect(outcome(await byAssertion())).toBe('503 replay_store_unavailable');
      expect((await introspect(token)).body['active']).toBe(true);
      const revoked = await send('/oauth/2/revoke', token, { wait: 'applied', timeout_ms: '20000' });
      expect(revoked).toMatchObject({ status: 200, body: { applied: true } });
      expect((await introspect(token)).body).toEqual({ active: false });
    } finally {
      await sts.installation.redis.restart();
    }
    // What was signed before the memory was lost counts as used; what is signed from now on works.
    await vi.waitFor(async () => expect(outcome(await byAssertion())).toBe('200'), patience);
  });
});

describe('while Postgres is away', () => {
  it('revocation says that nothing was revoked, and introspection stops saying anything once it may be wrong', async () => {
    const token = await mint();
    expect((await introspect(token)).body['active']).toBe(true);
    const { name } = sts.installation.database;
    await sts.sql(`ALTER DATABASE ${name} CONNECTION LIMIT 0`);
    await sts.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'caracal_sts_login' AND datname = $1",
      [name],
    );
    try {
      expect(outcome(await send('/oauth/2/revoke', token))).toBe('503 store_unavailable');
      await vi.waitFor(async () => expect(outcome(await introspect(token))).toBe('503 revocation_stale'), patience);
    } finally {
      await sts.sql(`ALTER DATABASE ${name} CONNECTION LIMIT -1`);
    }
    await vi.waitFor(async () => expect((await introspect(token)).body['active']).toBe(true), patience);
    expect((await send('/oauth/2/revoke', token, { wait: 'applied' })).body['applied']).toBe(true);
    expect((await introspect(token)).body).toEqual({ active: false });
  });
});
