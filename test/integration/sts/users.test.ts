// Users from end to end: an OpenID provider on loopback, its registration and the grants over the API, id tokens and the
// mandates made from them at the token endpoint.
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApi, textOf } from '../api/api-installation.ts';
import type { ApiInstallation, Reply } from '../api/api-installation.ts';
import { claimsOf, form, grantType } from './sts-installation.ts';
import type { FormFields } from './sts-installation.ts';

const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const key = { kid: 'one', ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
const issuer = 'https://login.example';

const allow = `package caracal.authz

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["allow"], "diagnostics": []} if {
	not bad
}

result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["groups"], "diagnostics": [{"reason": "not staff"}]} if {
	bad
}

bad if {
	input.action.id == "TokenExchange"
	input.context.subject_claims.sub_type == "user"
	not "staff" in input.context.subject_claims.claims.groups
}
`;

let provider: Server;
let providerAsked = 0;
let api: ApiInstallation;
let agent: Agent;
let redis: Redis;
let zoneId: string;
let base: string;
let issuerId: string;
let mailId: string;

interface App {
  readonly id: string;
  readonly secret: string;
}
let assistant: App;

async function application(body: object = {}): Promise<App> {
  const made = await api.call('POST', `${base}/applications`, { body: { name: 'assistant', ...body } });
  return { id: textOf(made, 'id'), secret: textOf(made, 'client_secret') };
}

async function created(path: string, body: object): Promise<string> {
  const reply = await api.call('POST', `${base}/${path}`, { body });
  if (reply.status !== 201) throw new Error(`${path}: ${reply.status} ${reply.text}`);
  return textOf(reply, 'id');
}

async function activatePolicy(): Promise<void> {
  const policy = await api.call('POST', `${base}/policies`, { body: { name: 'groups', content: allow } });
  const version = (policy.body['version'] as { id: string }).id;
  const set = await created('policy-sets', { name: 'all' });
  const manifest = [{ policy_version_id: version }];
  const added = await api.call('POST', `${base}/policy-sets/${set}/versions`, { body: { manifest } });
  const activated = await api.call('POST', `${base}/policy-sets/${set}/activate`, {
    body: { version_id: textOf(added, 'id') },
  });
  expect(activated.status).toBe(202);
}

beforeAll(async () => {
  provider = createServer((_, response) => {
    providerAsked += 1;
    const jwk = { ...key.publicKey.export({ format: 'jwk' }), kid: key.kid, alg: 'ES256', use: 'sig' };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  api = await startApi();
  // The one loopback port that tenants may name here.
  const port = api.installation.upstreamPort;
  await new Promise<void>((resolve) => provider.listen(port, '127.0.0.1', resolve));
  redis = new Redis(api.installation.redis.running().url, { lazyConnect: true });
  await redis.connect();
  agent = new Agent({
    connect: { ca: readFileSync(join(api.installation.tlsFolder, 'ca.pem')), servername: 'localhost' },
  });
  zoneId = await api.zone('Acme');
  base = `/v1/zones/${zoneId}`;
  await activatePolicy();
  assistant = await application();
  mailId = await created('resources', {
    identifier: 'resource://mail',
    upstream_url: 'http://127.0.0.1:1',
    scopes: ['mail:read', 'mail:send'],
  });
  issuerId = await created('subject-issuers', {
    issuer,
    jwks_url: `http://127.0.0.1:${port}/keys`,
    audience: 'acme',
    algorithms: ['ES256'],
    claims: { groups: 'groups' },
    may_act: 'id_token',
  });
  // What is older than the memory of Redis counts as used, and that memory has just begun.
  await until(async () => (await signIn(assistant, idToken())).status === 200);
}, 120_000);

afterAll(async () => {
  redis?.disconnect();
  await agent?.destroy();
  await api?.[Symbol.asyncDispose]();
  provider?.close();
});

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
let counted = 0;

function idToken(more: object = {}, header: object = {}): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer,
    aud: 'acme',
    sub: 'alice',
    iat: now,
    exp: now + 600,
    nonce: (counted += 1),
    groups: ['staff'],
  };
  const input = `${encoded({ alg: 'ES256', kid: key.kid, ...header })}.${encoded({ ...claims, ...more })}`;
  const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

async function token(app: App, fields: FormFields): Promise<Reply> {
  const own = { grant_type: grantType, zone_id: zoneId, application_id: app.id, client_secret: app.secret };
  const answer = await request(`${api.installation.urls.sts}/oauth/2/token`, {
    method: 'POST',
    dispatcher: agent,
    body: form({ ...own, ...fields }),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text,
    body: JSON.parse(text) as Record<string, unknown>,
  };
}

const signIn = async (app: App, shown: string): Promise<Reply> =>
  token(app, { subject_token: shown, subject_token_type: idTokenType });
const use = async (app: App, mandate: string, more: FormFields = {}): Promise<Reply> =>
  token(app, { subject_token: mandate, subject_token_type: accessTokenType, resource: 'resource://mail', ...more });

async function mandateOf(app: App, sub: string, more: object = {}): Promise<string> {
  const reply = await signIn(app, idToken({ sub, ...more }));
  if (reply.status !== 200) throw new Error(reply.text);
  return String(reply.body['access_token']);
}

const subjectOf = (sub: string): string => `user:${issuerId}:${sub}`;
const grantTo = async (app: App, sub: string, more: object = {}): Promise<string> =>
  created('grants', {
    application_id: app.id,
    subject: subjectOf(sub),
    resource_id: mailId,
    scopes: ['mail:read'],
    ...more,
  });

async function until(look: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1200; tries += 1) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it never came');
}

describe('a user who signs in', () => {
  it('gets a mandate that says who and opens nothing, with one record', async () => {
    const reply = await signIn(assistant, idToken());
    expect(reply).toMatchObject({ status: 200, body: { token_type: 'Bearer', target_resources: [] } });
    expect(reply.body['scope']).toBeUndefined();
    const claims = claimsOf(reply);
    expect(claims).toMatchObject({
      sub: subjectOf('alice'),
      sub_type: 'user',
      use: 'ambient',
      client_id: assistant.id,
    });
    const rows = await api.sql('SELECT subject, subject_type, subject_claims FROM sts.session_records WHERE id = $1', [
      claims.sid,
    ]);
    expect(rows).toEqual([
      { subject: subjectOf('alice'), subject_type: 'user', subject_claims: { groups: ['staff'] } },
    ]);
    expect(JSON.stringify(claims)).not.toContain('staff');
  });

  it('signs in once with a token, and with a fresh and genuine one of a registered issuer only', async () => {
    const shown = idToken();
    expect((await signIn(assistant, shown)).status).toBe(200);
    expect(await signIn(assistant, shown)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    const now = Math.floor(Date.now() / 1000);
    const refused = [
      idToken({ iss: 'https://elsewhere.example' }),
      idToken({ aud: 'other' }),
      idToken({ iat: now - 800 }),
      idToken({ exp: now - 120, iat: now - 200 }),
      idToken({}, { alg: 'RS256' }),
      idToken({}, { alg: 'none' }),
      idToken({}, { kid: 'unknown' }),
      `${idToken().slice(0, -8)}AAAAAAAA`,
      idToken({ sub: 'caracal:admin' }),
    ];
    for (const one of refused) {
      const reply = await signIn(assistant, one);
      expect([reply.status, reply.body['error']], one.slice(0, 60)).toEqual([401, 'invalid_token']);
      expect(reply.text).not.toContain(one.slice(-20));
    }
    expect(await signIn(assistant, '')).toMatchObject({ status: 400 });
    expect(
      await token(assistant, {
        subject_token: idToken(),
        subject_token_type: idTokenType,
        resource: 'resource://mail',
      }),
    ).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  it('leaves evidence of every attempt, without the token', async () => {
    const shown = idToken({ aud: 'other', sub: 'evidence-canary' });
    const reply = await signIn(assistant, shown);
    const requestId = String(reply.body['requestId']);
    const entries = (await redis.xrange('caracal.audit.events', '-', '+')).map(([, fields]) => fields.join(' '));
    const [event, ...more] = entries.filter((entry) => entry.includes(requestId));
    expect(more).toEqual([]);
    expect(event).toContain('wrong_audience');
    expect(event).toContain(assistant.id);
    expect(entries.join(' ')).not.toContain(shown.split('.')[1]);
  });
});

describe('the mandate of a user', () => {
  it('opens what the user granted, from the moment it is granted to the moment it is revoked', async () => {
    const mandate = await mandateOf(assistant, 'bob');
    expect(await use(assistant, mandate)).toMatchObject({ status: 400, body: { error: 'invalid_target' } });
    const id = await grantTo(assistant, 'bob');
    await until(async () => (await use(assistant, mandate)).status === 200);
    const reply = await use(assistant, mandate);
    expect(claimsOf(reply)).toMatchObject({ sub: subjectOf('bob'), scope: 'mail:read', target: ['resource://mail'] });
    expect(claimsOf(reply).sid).toBe(claimsOf({ ...reply, body: { access_token: mandate } }).sid);
    expect(await use(assistant, mandate, { scope: 'mail:send' })).toMatchObject({ body: { error: 'invalid_scope' } });
    const ended = await api.call('DELETE', `${base}/grants/${id}?wait=applied`);
    expect(ended).toMatchObject({ status: 200, body: { applied: true } });
    expect(await use(assistant, mandate)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    const again = await mandateOf(assistant, 'bob');
    expect(await use(assistant, again)).toMatchObject({ status: 400, body: { error: 'invalid_target' } });
  });

  it('is worth nothing to another application, however much the user granted that one', async () => {
    const other = await application();
    await grantTo(other, 'carol');
    await grantTo(assistant, 'carol');
    const mandate = await mandateOf(assistant, 'carol');
    expect(await use(other, mandate)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    await until(async () => (await use(assistant, mandate)).status === 200);
  });

  it('is decided on by what the issuer says of the user, at every later exchange', async () => {
    await grantTo(assistant, 'dave');
    const guest = await mandateOf(assistant, 'dave', { groups: ['guests'] });
    const refused = await use(assistant, guest);
    expect(refused).toMatchObject({ status: 403, body: { error: 'policy_denied' } });
    expect(refused.text).toContain('not staff');
    const staff = await mandateOf(assistant, 'dave');
    await until(async () => (await use(assistant, staff)).status === 200);
  });

  it('is used by the actor its id token names, and by no other', async () => {
    const agentApp = await application();
    await grantTo(assistant, 'erin');
    const mandate = await mandateOf(assistant, 'erin', { may_act: { client_id: agentApp.id } });
    const own = await token(agentApp, { resource: 'resource://mail' });
    const actor = { actor_token: String(own.body['access_token']), actor_token_type: accessTokenType };
    await until(async () => (await use(agentApp, mandate, actor)).status === 200);
    const acted = await use(agentApp, mandate, actor);
    expect(claimsOf(acted)).toMatchObject({
      sub: subjectOf('erin'),
      client_id: agentApp.id,
      act: { sub: agentApp.id },
      delegation_chain: [{ app: assistant.id }],
    });
    expect(await use(assistant, mandate)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    const stranger = await application();
    const strangers = await token(stranger, { resource: 'resource://mail' });
    const wrong = { actor_token: String(strangers.body['access_token']), actor_token_type: accessTokenType };
    expect(await use(stranger, mandate, wrong)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    for (const half of [{ actor_token: actor.actor_token }, { actor_token_type: accessTokenType }]) {
      expect(await use(agentApp, mandate, half)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    }
  });

  it('is nothing once its issuer has ended, everywhere', async () => {
    const id = await created('subject-issuers', {
      issuer: 'https://second.example',
      jwks_url: `http://127.0.0.1:${api.installation.upstreamPort}/keys`,
      audience: 'acme',
      algorithms: ['ES256'],
      claims: { groups: 'groups' },
    });
    const subject = `user:${id}:frank`;
    await created('grants', { application_id: assistant.id, subject, resource_id: mailId, scopes: ['mail:read'] });
    await until(
      async () => (await signIn(assistant, idToken({ iss: 'https://second.example', sub: 'frank' }))).status === 200,
    );
    const signed = await signIn(assistant, idToken({ iss: 'https://second.example', sub: 'frank' }));
    const mandate = String(signed.body['access_token']);
    await until(async () => (await use(assistant, mandate)).status === 200);
    expect((await api.call('DELETE', `${base}/subject-issuers/${id}?wait=applied`)).body).toMatchObject({
      applied: true,
    });
    expect((await use(assistant, mandate)).status).toBe(401);
    await until(
      async () => (await signIn(assistant, idToken({ iss: 'https://second.example', sub: 'frank' }))).status === 401,
    );
  });

  it('costs no read of keys, issuers or grants once they are known', async () => {
    await grantTo(assistant, 'grace');
    const mandate = await mandateOf(assistant, 'grace');
    await until(async () => (await use(assistant, mandate)).status === 200);
    const asked = providerAsked;
    const reads = async (): Promise<number> => {
      const [row] = await api.sql<{ n: string }>(
        `SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::text AS n FROM pg_stat_all_tables
          WHERE schemaname = 'api' AND relname IN ('grants', 'subject_issuers')`,
      );
      return Number(row?.n);
    };
    await api.sql('SELECT pg_stat_force_next_flush()');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = await reads();
    for (let times = 0; times < 50; times += 1) expect((await use(assistant, mandate)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // What connections counted before reaches the statistics late; fifty uses would be far more.
    expect((await reads()) - before).toBeLessThan(25);
    expect(providerAsked).toBe(asked);
  });
});

describe('what a user needs', () => {
  it('is the keys of the provider, and their absence is the provider\u2019s and not the user\u2019s', async () => {
    // Nothing may be dialled there, and nothing listens.
    for (const jwksUrl of ['http://127.0.0.1:1/keys', 'https://169.254.169.254/keys', 'https://localhost:1/keys']) {
      const name = `https://away.example/${(counted += 1)}`;
      const body = { issuer: name, jwks_url: jwksUrl, audience: 'acme', algorithms: ['ES256'] };
      await created('subject-issuers', body);
      const ask = async (): Promise<Reply> => signIn(assistant, idToken({ iss: name }));
      await until(async () => (await ask()).status === 503);
      const reply = await ask();
      expect(reply).toMatchObject({ status: 503, body: { error: 'issuer_unavailable' } });
      expect(reply.text).not.toContain('169.254');
    }
  });

  it('is a store that knows what was shown before: without it nobody signs in', async () => {
    const mandate = await mandateOf(assistant, 'heidi');
    await grantTo(assistant, 'heidi');
    await until(async () => (await use(assistant, mandate)).status === 200);
    await api.installation.redis.running().stop();
    expect(await signIn(assistant, idToken())).toMatchObject({
      status: 503,
      body: { error: 'replay_store_unavailable' },
    });
    // A mandate the user has already goes on.
    expect((await use(assistant, mandate)).status).toBe(200);
    await api.installation.redis.restart();
    await until(async () => (await signIn(assistant, idToken())).status === 200);
  });
});
