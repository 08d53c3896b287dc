// Governed calls with the credentials of every kind of provider, from the administrator's first request to the upstream; and
// afterwards a look through everything the installation emitted for any secret it had in its hands.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT, exportJWK, generateKeyPair, type CryptoKey } from 'jose';
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedis } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import { services } from '#mesh/topology';
import { createClient, type Client, type Reply } from '../../dev/demo/client.ts';
import { allowAll } from '../integration/sts/sts-installation.ts';
import { startAuthorizationServer, type AuthorizationServer } from '../support/authorization-server.ts';
import { startInstallation, type Installation } from '../support/installation.ts';

const cleanup = new AsyncDisposableStack();
const planted = (name: string): string => `${name}-canary-${randomBytes(16).toString('hex')}`;
const secrets = { token: planted('token'), apiKey: planted('key'), password: planted('password') };
const redirectUri = 'https://admin.test/back';
const issuer = 'https://login.test';
let server: AuthorizationServer;
let installation: Installation;
let client: Client;
let signingKey: CryptoKey;
let zone: string;
let application: { id: string; client_secret: string };
let userSubject: string;
const providers = new Map<string, string>();
/** Every answer the control plane gave; creating an application shows its secret, and so is left out. */
const answers: string[] = [];
/** What only its holders may see. */
const held: string[] = Object.values(secrets);

async function admin(method: 'GET' | 'POST' | 'DELETE' | 'PATCH', path: string, json?: unknown): Promise<Reply> {
  const call = { method, bearer: installation.adminToken, ...(json === undefined ? {} : { json }) };
  const reply = await client.send(`${installation.urls.api}/v1${path}`, call);
  if (!path.endsWith('/applications')) answers.push(JSON.stringify(reply.body));
  return reply;
}

async function create<T>(path: string, json: unknown): Promise<T> {
  const reply = await admin('POST', path, json);
  expect(reply.status, `${path} ${JSON.stringify(reply.body)}`).toBeLessThan(300);
  return reply.body as T;
}

/** A provider, and a resource of the same name that uses it. */
async function provide(name: string, provider: object): Promise<string> {
  const made = await create<{ id: string }>(`${zone}/providers`, { identifier: name, ...provider });
  providers.set(name, made.id);
  const { id } = await create<{ id: string }>(`${zone}/resources`, {
    identifier: name,
    upstream_url: server.url,
    scopes: ['read'],
    provider_id: made.id,
  });
  return id;
}

async function exchange(fields: Record<string, string>): Promise<Reply> {
  const reply = await client.send(`${installation.urls.sts}/oauth/2/token`, {
    form: {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      zone_id: zone.slice('/zones/'.length),
      application_id: application.id,
      client_secret: application.client_secret,
      ...fields,
    },
  });
  const { access_token: token } = reply.body as { access_token?: string };
  if (token !== undefined) held.push(token);
  return reply;
}

async function mandate(fields: Record<string, string>): Promise<string> {
  const reply = await exchange(fields);
  expect(reply).toMatchObject({ status: 200 });
  return (reply.body as { access_token: string }).access_token;
}

const govern = async (bearer: string, resource: string, path = '/call'): Promise<Reply> =>
  client.send(`${installation.urls.gateway}${path}`, { bearer, headers: { 'x-caracal-resource': resource } });

/** The user's mandate for one use of a resource. */
async function usersMandate(resource: string): Promise<string> {
  const idToken = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'login' })
    .setIssuer(issuer)
    .setAudience('caracal')
    .setSubject('ada')
    .setJti(randomBytes(8).toString('hex'))
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(signingKey);
  held.push(idToken);
  const type = 'urn:ietf:params:oauth:token-type:';
  const ambient = await mandate({ subject_token: idToken, subject_token_type: `${type}id_token` });
  return mandate({ subject_token: ambient, subject_token_type: `${type}access_token`, resource });
}

/** Begins, consents and completes over the API. */
async function connect(name: string, subject?: string): Promise<Record<string, unknown>> {
  const begun = await create<{ authorization_url: string; state: string }>(
    `${zone}/providers/${providers.get(name)}/connections`,
    { redirect_uri: redirectUri, ...(subject === undefined ? {} : { subject }) },
  );
  // The state goes to the administrator and to nobody's log.
  answers.pop();
  held.push(begun.state);
  const back = await server.consent(begun.authorization_url);
  const { code, state, iss } = Object.fromEntries(back.searchParams);
  return create(`${zone}/connections/complete`, { code, state, iss });
}

beforeAll(async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  signingKey = privateKey;
  const keys = { ...(await exportJWK(publicKey)), kid: 'login', alg: 'ES256', use: 'sig' };
  server = cleanup.use(await startAuthorizationServer({ keys, sendsIssuer: true }));
  const reachable = { UPSTREAM_DEV_LOOPBACK_HOSTS: `127.0.0.1:${server.port}` };
  const overrides = Object.fromEntries(services.map((name) => [name, { LOG_LEVEL: 'debug', ...reachable }]));
  installation = cleanup.use(await startInstallation({ overrides }));
  client = cleanup.use(createClient(join(installation.tlsFolder, 'ca.pem')));
  zone = `/zones/${(await create<{ id: string }>('/zones', { name: 'Providers' })).id}`;
  application = await create(`${zone}/applications`, {
    name: 'agent',
    registration_method: 'managed',
    credential_type: 'token',
  });
  held.push(application.client_secret, installation.adminToken);
  const oauth = {
    token_url: `${server.url}/token`,
    allowed_token_hosts: [`127.0.0.1:${server.port}`],
    client_id: server.clientId,
    scopes: ['read'],
  };
  const code = {
    ...oauth,
    issuer: server.url,
    authorization_url: `${server.url}/authorize`,
    redirect_uris: [redirectUri],
  };
  const clientSecret = { client_secret: server.clientSecret };
  await provide('client', { kind: 'oauth2_client_credentials', config: oauth, secrets: clientSecret });
  const connection = { ...code, connection: 'zone' };
  await provide('zone', { kind: 'oauth2_authorization_code', config: connection, secrets: clientSecret });
  const byUser = await provide('user', { kind: 'oauth2_authorization_code', config: code, secrets: clientSecret });
  await provide('token', { kind: 'bearer_token', secrets: { token: secrets.token } });
  await provide('basic', { kind: 'http_basic', config: { username: 'ada' }, secrets: { password: secrets.password } });
  const inQuery = { auth_location: 'query', query_param_name: 'key' };
  await provide('query', { kind: 'api_key', config: inQuery, secrets: { api_key: secrets.apiKey } });
  await provide('elsewhere', {
    kind: 'bearer_token',
    config: { allowed_hosts: ['api.test'] },
    secrets: { token: secrets.token },
  });
  const login = await create<{ id: string }>(`${zone}/subject-issuers`, {
    issuer,
    jwks_url: `${server.url}/keys`,
    audience: 'caracal',
    algorithms: ['ES256'],
  });
  userSubject = `user:${login.id}:ada`;
  await create(`${zone}/grants`, {
    application_id: application.id,
    subject: userSubject,
    resource_id: byUser,
    scopes: ['read'],
  });
  const policy = await create<{ version: { id: string } }>(`${zone}/policies`, { name: 'all', content: allowAll });
  const set = await create<{ id: string }>(`${zone}/policy-sets`, { name: 'all' });
  const manifest = [{ policy_version_id: policy.version.id }];
  const version = await create<{ id: string }>(`${zone}/policy-sets/${set.id}/versions`, { manifest });
  await create(`${zone}/policy-sets/${set.id}/activate`, { version_id: version.id });
});
afterAll(() => cleanup.disposeAsync());

const lastCall = () => server.calls.at(-1);

describe('a governed call', () => {
  it('carries a token the client got for itself, got once', async () => {
    const bearer = await mandate({ resource: 'client', scope: 'read' });
    for (let call = 0; call < 3; call += 1) {
      const reply = await govern(bearer, 'client', '/call?x=1');
      expect(reply.status).toBe(200);
      expect(JSON.stringify(reply)).not.toContain('canary');
    }
    expect(lastCall()).toMatchObject({ authorization: expect.stringMatching(/^Bearer at-canary/), path: '/call?x=1' });
    expect(server.count('client_credentials')).toBe(1);
  });

  it('carries what a zone was connected with, and nothing once that was ended', async () => {
    const bearer = await mandate({ resource: 'zone', scope: 'read' });
    expect(await govern(bearer, 'zone')).toMatchObject({ status: 403, body: { error: 'credential_not_provisioned' } });
    const connection = await connect('zone');
    expect(connection).toMatchObject({ state: 'active', subject: '', scopes: ['read', 'write'] });
    await expect.poll(async () => (await govern(bearer, 'zone')).status).toBe(200);
    const listed = await admin('GET', `${zone}/connections?provider_id=${providers.get('zone')}`);
    expect(listed.body).toMatchObject({ items: [{ id: connection['id'], state: 'active' }] });
    expect(JSON.stringify(listed.body)).not.toMatch(/envelope|token/);
    expect((await admin('DELETE', `${zone}/connections/${String(connection['id'])}`)).status).toBe(204);
    await expect.poll(async () => (await govern(bearer, 'zone')).status).toBe(403);
    expect((await admin('DELETE', `${zone}/connections/${String(connection['id'])}`)).status).toBe(404);
  });

  it('carries the connection of the very user it is for', async () => {
    expect(await govern(await usersMandate('user'), 'user')).toMatchObject({ status: 403 });
    await connect('user', userSubject);
    const reached = async (): Promise<number> => (await govern(await usersMandate('user'), 'user')).status;
    await expect.poll(reached).toBe(200);
    expect(lastCall()?.authorization).toMatch(/^Bearer at-canary/);
    // The application itself is not the user.
    const own = await mandate({ resource: 'user', scope: 'read' });
    expect(await govern(own, 'user')).toMatchObject({ status: 403, body: { error: 'credential_not_provisioned' } });
  });

  it('carries what an administrator gave, where the upstream wants it', async () => {
    await govern(await mandate({ resource: 'token', scope: 'read' }), 'token');
    expect(lastCall()?.authorization).toBe(`Bearer ${secrets.token}`);
    await govern(await mandate({ resource: 'basic', scope: 'read' }), 'basic');
    expect(lastCall()?.authorization).toBe(`Basic ${Buffer.from(`ada:${secrets.password}`).toString('base64')}`);
    await govern(await mandate({ resource: 'query', scope: 'read' }), 'query', '/call?a=1&key=mine');
    expect(lastCall()).toMatchObject({ authorization: undefined, path: `/call?a=1&key=${secrets.apiKey}` });
  });

  it('carries nothing to a host the credential is not for', async () => {
    const before = server.calls.length;
    const reply = await govern(await mandate({ resource: 'elsewhere', scope: 'read' }), 'elsewhere');
    expect(reply).toMatchObject({ status: 403, body: { error: 'credential_not_releasable' } });
    expect(server.calls.length).toBe(before);
  });
});

describe('a connection', () => {
  it('is completed once, by its state, and only with the issuer it was begun with', async () => {
    const path = `${zone}/providers/${providers.get('zone')}/connections`;
    const begin = async () => create<{ authorization_url: string; state: string }>(path, { redirect_uri: redirectUri });
    const begun = await begin();
    const back = Object.fromEntries((await server.consent(begun.authorization_url)).searchParams);
    const complete = async (body: object): Promise<number> =>
      (await admin('POST', `${zone}/connections/complete`, body)).status;
    expect(await complete({ ...back, state: 'A'.repeat(43) })).toBe(400);
    expect(await complete({ ...back, iss: 'https://other.test' })).toBe(400);
    // The state was spent on that attempt, however it ended.
    expect(await complete(back)).toBe(400);
    const again = await begin();
    const good = Object.fromEntries((await server.consent(again.authorization_url)).searchParams);
    expect(await complete(good)).toBe(201);
    expect(await complete(good)).toBe(400);
  });

  it('is not completed by another administrator than the one who began', async () => {
    const path = `${zone}/providers/${providers.get('zone')}/connections`;
    const begun = await create<{ authorization_url: string }>(path, { redirect_uri: redirectUri });
    const back = Object.fromEntries((await server.consent(begun.authorization_url)).searchParams);
    const other = await admin('POST', '/admin-tokens', { name: 'other', scope: 'global', capability: 'write' });
    answers.pop();
    const { token } = other.body as { token: string };
    held.push(token);
    const url = `${installation.urls.api}/v1${zone}/connections/complete`;
    expect((await client.send(url, { bearer: token, json: back })).status).toBe(400);
    expect((await client.send(url, { bearer: installation.adminToken, json: back })).status).toBe(201);
  });

  it('is begun for a registered address alone, and for a user where users hold them', async () => {
    const begin = async (name: string, body: object): Promise<number> =>
      (await admin('POST', `${zone}/providers/${providers.get(name)}/connections`, body)).status;
    expect(await begin('zone', { redirect_uri: `${redirectUri}/` })).toBe(400);
    expect(await begin('zone', { redirect_uri: redirectUri, subject: userSubject })).toBe(400);
    expect(await begin('user', { redirect_uri: redirectUri })).toBe(400);
    expect(await begin('client', { redirect_uri: redirectUri })).toBe(400);
  });
});

describe('a test of a provider', () => {
  const test = async (name: string, body: object = {}): Promise<Reply> =>
    admin('POST', `${zone}/providers/${providers.get(name)}/test`, body);

  it('says whether a credential was obtained, and in a word why not', async () => {
    expect(await test('client')).toMatchObject({ status: 200, body: { ok: true } });
    expect(await test('basic')).toMatchObject({ status: 200, body: { ok: true } });
    expect((await test('user')).body).toMatchObject({ ok: false, reason: 'credential_not_provisioned' });
    expect((await test('user', { subject: userSubject })).body).toMatchObject({ ok: true });
    server.trouble = 'refusal';
    expect((await test('client')).body).toMatchObject({ ok: false, reason: 'credential_not_provisioned' });
    server.trouble = 'outage';
    expect((await test('client')).body).toMatchObject({ ok: false, reason: 'provider_unavailable' });
    server.trouble = 'none';
  });
});

describe('after all of it', () => {
  const expectNone = (where: string, text: string): void => {
    expect(text.length, where).toBeGreaterThan(0);
    expect(held.every((secret) => secret.length > 8)).toBe(true);
    for (const secret of [...held, ...server.given, 'canary prose']) {
      expect(text.includes(secret), `${where} holds a secret that begins with ${secret.slice(0, 8)}`).toBe(false);
    }
  };

  it('no secret stands in a log at debug level, or in an answer of the control plane', () => {
    for (const name of services) expectNone(`log of ${name}`, installation.process(name).log());
    expectNone('answers of the control plane', answers.join('\n'));
  });

  it('no secret stands in a metric', async () => {
    for (const name of services) {
      expectNone(`metrics of ${name}`, String((await client.send(`${installation.urls[name]}/metrics`)).body));
    }
  });

  it('no secret stands in a stream, in a key of Redis, in a journal or in any row of the database', async () => {
    await using redis = createRedis({ url: installation.redis.running().url, name: 'canaries', logger: silentLogger });
    await redis.untilUp(AbortSignal.timeout(10_000));
    for (const key of (await redis.call('KEYS', '*')) as string[]) {
      expectNone('a key of Redis', key);
      if ((await redis.call('TYPE', key)) !== 'stream') continue;
      expectNone(key, JSON.stringify(await redis.call('XRANGE', key, '-', '+')));
    }
    const journal = installation.stack.files.journalFolder;
    for (const name of readdirSync(journal, { recursive: true, encoding: 'utf8' })) {
      const path = join(journal, name);
      if (statSync(path).isFile()) expectNone(`journal ${name}`, `${name}\n${readFileSync(path, 'latin1')}`);
    }
    const database = new PgClient({ connectionString: installation.database.administratorUrl });
    await database.connect();
    try {
      const { rows } = await database.query<{ name: string }>(
        `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
         WHERE schemaname IN ('api', 'sts', 'coordinator', 'audit', 'gateway')`,
      );
      for (const { name } of rows) {
        const dump = await database.query<{ text: string }>(`SELECT t::text AS text FROM ${name} AS t`);
        const text = dump.rows.map((row) => row.text).join('\n');
        expectNone(name, `${name}\n${text}`);
        // bytea prints as hex: a secret that was stored unsealed would stand there in that form.
        const hex = [...held, ...server.given].map((secret) => Buffer.from(secret).toString('hex'));
        for (const secret of hex) expect(text.includes(secret), `${name} holds an unsealed secret`).toBe(false);
      }
    } finally {
      await database.end();
    }
  });

  it('every connection and every refusal stands in the ledger', async () => {
    const types = async (): Promise<string[]> => {
      const reply = await admin('GET', `${zone}/audit?limit=500`);
      const { items } = reply.body as { items: { event_type: string }[] };
      return [...new Set(items.map(({ event_type: type }) => type))];
    };
    await expect
      .poll(types)
      .toEqual(
        expect.arrayContaining([
          'connection.begun',
          'connection.completed',
          'connection.refused',
          'connection.revoked',
          'provider.tested',
        ]),
      );
  });
});
