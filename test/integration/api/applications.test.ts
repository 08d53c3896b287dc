// What applications register beyond a secret, over the API and as the STS then judges them; and introspection for
// administrators.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { clientAssertion, clientAssertionType, clientKey } from '../../support/assertions.ts';
import { allowAll, startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

let api: ApiInstallation;
let agent: Agent;
let base: string;
let zoneId: string;
let issuer: string;
const calendar = 'resource://calendar';
const patience = { timeout: 30_000, interval: 100 };

beforeAll(async () => {
  api = await startApi({ services: ['sts', 'api'] });
  agent = new Agent({
    connect: { ca: readFileSync(join(api.installation.tlsFolder, 'ca.pem')), servername: 'localhost' },
  });
  zoneId = await api.zone('Clients');
  base = `/v1/zones/${zoneId}`;
  const metadata = await request(`${api.installation.urls.sts}/.well-known/oauth-authorization-server`, {
    dispatcher: agent,
  });
  issuer = ((await metadata.body.json()) as { issuer: string }).issuer;
  await api.call('POST', `${base}/resources`, {
    body: { identifier: calendar, upstream_url: 'https://calendar.test', scopes: ['calendar:read'] },
  });
  const policy = await api.call('POST', `${base}/policies`, { body: { name: 'all', content: allowAll } });
  const set = await api.call('POST', `${base}/policy-sets`, { body: { name: 'all' } });
  const setPath = `${base}/policy-sets/${textOf(set, 'id')}`;
  const manifest = [{ policy_version_id: (policy.body['version'] as { id: string }).id }];
  const version = await api.call('POST', `${setPath}/versions`, { body: { manifest } });
  await api.call('POST', `${setPath}/activate`, { body: { version_id: textOf(version, 'id') } });
}, 120_000);
afterAll(async () => {
  await agent?.destroy();
  await api?.[Symbol.asyncDispose]();
});

const create = async (body: object): Promise<Reply> => api.call('POST', `${base}/applications`, { body });
const patch = async (id: string, body: object): Promise<Reply> =>
  api.call('PATCH', `${base}/applications/${id}`, { body, headers: { 'if-match': '*' } });

async function sts(
  path: string,
  fields: Record<string, string>,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await request(`${api.installation.urls.sts}${path}`, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ zone_id: zoneId, ...fields }).toString(),
  });
  return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> };
}

const exchange = { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', resource: calendar };

async function bySecret(application: Reply, fields: Record<string, string> = {}) {
  const own = { client_id: textOf(application, 'id'), client_secret: textOf(application, 'client_secret') };
  return sts('/oauth/2/token', { ...exchange, ...own, ...fields });
}

async function byAssertion(clientId: string, key: ReturnType<typeof clientKey>) {
  const assertion = await clientAssertion(key, { clientId, issuer });
  return sts('/oauth/2/token', {
    ...exchange,
    client_assertion_type: clientAssertionType,
    client_assertion: assertion,
  });
}

interface Problem {
  readonly path: string;
}
const fieldsOf = ({ status, body }: Reply): unknown => [
  status,
  ((body['details'] as { fields?: Problem[] } | undefined)?.fields ?? []).map(({ path }) => path),
];

describe('an application that signs', () => {
  test('is registered with its keys, gets no secret, and authenticates at the STS', async () => {
    const key = clientKey('ES256');
    const made = await create({
      name: 'signs',
      credential_type: 'public-key',
      public_keys: { keys: [key.publicJwk] },
      may_act: [{ client_id: 'app-2' }, { sub: 'user:issuer:jane' }],
      serves: [calendar],
      sender_constraint: 'allowed',
    });
    expect(made).toMatchObject({
      status: 201,
      body: {
        credential_type: 'public-key',
        public_keys: { keys: [key.publicJwk] },
        may_act: [{ client_id: 'app-2' }, { sub: 'user:issuer:jane' }],
        serves: [calendar],
        sender_constraint: 'allowed',
      },
    });
    expect(made.body).not.toHaveProperty('client_secret');
    const id = textOf(made, 'id');
    expect((await api.call('GET', `${base}/applications/${id}`)).body).toEqual(made.body);
    expect((await api.call('POST', `${base}/applications/${id}/rotate-secret`)).status).toBe(409);
    await vi.waitFor(async () => expect((await byAssertion(id, key)).status).toBe(200), patience);
  });

  test('changes its keys, and the STS follows: the old one stops, the new one works', async () => {
    const [old, next] = [clientKey('ES256'), clientKey('EdDSA')];
    const made = await create({
      name: 'rotates',
      credential_type: 'public-key',
      public_keys: { keys: [old.publicJwk] },
    });
    const id = textOf(made, 'id');
    await vi.waitFor(async () => expect((await byAssertion(id, old)).status).toBe(200), patience);
    expect((await patch(id, { public_keys: { keys: [old.publicJwk, next.publicJwk] } })).status).toBe(200);
    await vi.waitFor(async () => expect((await byAssertion(id, next)).status).toBe(200), patience);
    expect((await byAssertion(id, old)).status).toBe(200);
    expect((await patch(id, { public_keys: { keys: [next.publicJwk] } })).status).toBe(200);
    await vi.waitFor(async () => expect((await byAssertion(id, old)).status).toBe(401), patience);
    expect((await byAssertion(id, next)).status).toBe(200);
  });

  test('never sends a private key, and never registers what it could not use', async () => {
    const key = clientKey('ES256');
    const secret = { ...key.privateKey.export({ format: 'jwk' }), kid: 'leaked' };
    const leaked = await create({ name: 'x', credential_type: 'public-key', public_keys: { keys: [secret] } });
    expect(fieldsOf(leaked)).toEqual([400, ['public_keys.keys[0].d']]);
    expect(leaked.text).not.toContain((secret as { d?: string }).d ?? 'none');
    const kept = await api.sql(`SELECT 1 FROM api.applications WHERE public_keys::text LIKE '%"d"%'`);
    expect(kept).toEqual([]);
    const refused = async (body: object): Promise<unknown> => fieldsOf(await create({ name: 'x', ...body }));
    expect(await refused({ credential_type: 'public-key' })).toEqual([400, ['public_keys']]);
    expect(await refused({ public_keys: { keys: [key.publicJwk] } })).toEqual([400, ['public_keys']]);
    expect(await refused({ credential_type: 'public-key', public_keys: { keys: [] } })).toEqual([
      400,
      ['public_keys.keys'],
    ]);
    expect(await refused({ credential_type: 'public-key', public_keys: { keys: [{}] } })).toEqual([
      400,
      expect.arrayContaining([expect.any(String)]),
    ]);
    expect(await refused({ may_act: [{}] })).toEqual([400, expect.arrayContaining([expect.any(String)])]);
    expect(await refused({ may_act: ['app'] })).toEqual([400, expect.arrayContaining([expect.any(String)])]);
    expect(await refused({ serves: ['has space'] })).toEqual([400, expect.arrayContaining([expect.any(String)])]);
    expect(await refused({ sender_constraint: 'sometimes' })).toEqual([
      400,
      expect.arrayContaining([expect.any(String)]),
    ]);
    const plain = await create({ name: 'plain' });
    const late = await patch(textOf(plain, 'id'), { public_keys: { keys: [key.publicJwk] } });
    expect(fieldsOf(late)).toEqual([400, ['public_keys']]);
  });
});

describe('what an application serves', () => {
  test('reaches the STS: it may introspect from then on, and no longer once it is taken away', async () => {
    const client = await create({ name: 'client' });
    const server = await create({ name: 'server' });
    const id = textOf(server, 'id');
    const ambient = await vi.waitFor(async () => {
      const reply = await bySecret(client);
      expect(reply.status).toBe(200);
      return reply;
    }, patience);
    const subject = String(ambient.body['access_token']);
    const token = String((await bySecret(client, { subject_token: subject })).body['access_token']);
    const own = { client_id: id, client_secret: textOf(server, 'client_secret'), token };
    const isActive = async (): Promise<unknown> => (await sts('/oauth/2/introspect', own)).body['active'];
    expect(await isActive()).toBe(false);
    expect((await patch(id, { serves: [calendar] })).status).toBe(200);
    await vi.waitFor(async () => expect(await isActive()).toBe(true), patience);
    expect((await patch(id, { serves: [] })).status).toBe(200);
    await vi.waitFor(async () => expect(await isActive()).toBe(false), patience);
  });
});

describe('introspection by an administrator', () => {
  test('tells of every mandate of the zone, and of no other', async () => {
    const client = await create({ name: 'client' });
    const minted = await vi.waitFor(async () => {
      const reply = await bySecret(client);
      expect(reply.status).toBe(200);
      return reply;
    }, patience);
    const token = String(minted.body['access_token']);
    const introspect = async (path: string, body: object): Promise<Reply> =>
      api.call('POST', `${path}/introspect`, { body });
    const told = await introspect(base, { token });
    expect(told).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'no-store' },
      body: { active: true, client_id: textOf(client, 'id'), zone_id: zoneId, token_type: 'Bearer' },
    });
    const other = await api.zone('Elsewhere');
    expect((await introspect(`/v1/zones/${other}`, { token })).body).toEqual({ active: false });
    expect((await introspect(base, { token: 'x.y.z' })).body).toEqual({ active: false });
    expect((await introspect(base, {})).status).toBe(400);
    expect((await introspect('/v1/zones/01900000-0000-7000-8000-000000000000', { token })).status).toBe(404);
    expect((await api.call('POST', `${base}/introspect`, { body: { token }, token: '' })).status).toBe(401);
    await api.call('DELETE', `${base}/applications/${textOf(client, 'id')}?wait=applied`);
    expect((await introspect(base, { token })).body).toEqual({ active: false });
  });
});
