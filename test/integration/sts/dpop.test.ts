// Proofs of possession at a running STS: what they bind over the wire, and what a thief gets.
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request as h1Request } from 'node:https';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedis } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import { createAuthority, issueCertificate } from '../../../dev/certificates.ts';
import type { Authority } from '../../../dev/certificates.ts';
import { holderKey, makeProof } from '../../support/proofs.ts';
import type { HolderKey, ProofParts } from '../../support/proofs.ts';
import { allowAll, claimsOf, form, grantType, startSts } from './sts-installation.ts';
import type { FormFields, Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let apps: Record<'off' | 'allowed' | 'required', TestApplication>;
let nonce: string;
const calendar = 'resource://calendar';
const path = '/oauth/2/token';

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  apps = {
    off: await sts.application(zone, { senderConstraint: 'off' }),
    allowed: await sts.application(zone, { senderConstraint: 'allowed' }),
    required: await sts.application(zone, { senderConstraint: 'required' }),
  };
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read'] });
  await sts.policy(zone, [allowAll]);
  const challenged = await ask(apps.required, proof(holderKey(), { nonce: undefined }));
  nonce = String(challenged.headers['dpop-nonce']);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

const nowSeconds = (): number => Math.floor(Date.now() / 1000);

function proof(key: HolderKey, parts: Partial<ProofParts> = {}): string {
  return makeProof({ key, url: `${sts.url}${path}`, iat: nowSeconds(), nonce, ...parts });
}

function body(app: TestApplication, fields: FormFields = {}): string {
  const own = { grant_type: grantType, zone_id: zone.id, application_id: app.id, client_secret: app.secret };
  return form({ ...own, resource: calendar, ...fields });
}

async function ask(app: TestApplication, dpop: string | undefined, fields: FormFields = {}): Promise<Reply> {
  return sts.post(path, body(app, fields), dpop === undefined ? {} : { dpop });
}

const told = ({ status, body: { error } }: Reply): unknown => [status, error];
const tokenOf = (reply: Reply): string => String(reply.body['access_token']);

describe('a proof at the token endpoint', () => {
  it('binds the mandate to its key, and the answer says so and brings the next nonce', async () => {
    const key = holderKey();
    const reply = await ask(apps.allowed, proof(key));
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ token_type: 'DPoP' });
    expect(claimsOf(reply).cnf).toEqual({ jkt: key.jkt });
    expect(reply.headers['dpop-nonce']).toMatch(/^[\w-]{30}$/);
    expect(reply.headers['cache-control']).toBe('no-store');
    const next = String(reply.headers['dpop-nonce']);
    expect((await ask(apps.allowed, proof(key, { nonce: next }))).status).toBe(200);
  });

  it('is asked for with a nonce where a binding is required, and missed where there is none', async () => {
    const key = holderKey();
    const first = await ask(apps.required, proof(key, { nonce: undefined }));
    expect(told(first)).toEqual([400, 'use_dpop_nonce']);
    const given = String(first.headers['dpop-nonce']);
    expect((await ask(apps.required, proof(key, { nonce: given }))).body).toMatchObject({ token_type: 'DPoP' });
    expect(told(await ask(apps.required, undefined))).toEqual([400, 'invalid_dpop_proof']);
    expect(told(await ask(apps.required, proof(key, { nonce: 'A'.repeat(30) })))).toEqual([400, 'use_dpop_nonce']);
  });

  it('is checked and binds nothing where no binding is wanted', async () => {
    const reply = await ask(apps.off, proof(holderKey()));
    expect(reply.body).toMatchObject({ token_type: 'Bearer' });
    expect(claimsOf(reply).cnf).toBeUndefined();
    expect(told(await ask(apps.off, 'junk'))).toEqual([400, 'invalid_dpop_proof']);
  });

  it('is good once, and its refusal repeats nothing of it', async () => {
    const dpop = proof(holderKey());
    expect((await ask(apps.allowed, dpop)).status).toBe(200);
    const again = await ask(apps.allowed, dpop);
    expect(told(again)).toEqual([400, 'invalid_dpop_proof']);
    expect(again.body['error_description']).not.toContain(dpop);
  });

  it('is refused for another address, whatever the request says of its host', async () => {
    const key = holderKey();
    const elsewhere = proof(key, { url: `https://elsewhere.example${path}` });
    const headers = { dpop: elsewhere, 'x-forwarded-host': 'elsewhere.example', 'x-forwarded-proto': 'https' };
    expect(told(await sts.post(path, body(apps.allowed), headers))).toEqual([400, 'invalid_dpop_proof']);
    const alias = await ask(apps.allowed, proof(key, { url: `${sts.url}/oauth2/token` }));
    expect(told(alias)).toEqual([400, 'invalid_dpop_proof']);
  });

  it('is refused when there are two, however they are sent', async () => {
    const [one, two] = [proof(holderKey()), proof(holderKey())];
    expect(told(await ask(apps.allowed, `${one}, ${two}`))).toEqual([400, 'invalid_dpop_proof']);
    expect(await twoHeaders(one, two)).toBe(400);
  });

  it('makes up for a clock that is hours off by its nonce', async () => {
    const key = holderKey();
    const late = await ask(apps.allowed, proof(key, { nonce: undefined, iat: nowSeconds() - 7200 }));
    expect(told(late)).toEqual([400, 'use_dpop_nonce']);
    expect((await ask(apps.allowed, proof(key, { iat: nowSeconds() - 7200 }))).status).toBe(200);
  });
});

describe('a bound subject', () => {
  it('is exchanged by its key holder, and by nobody who merely has it', async () => {
    const [key, thief] = [holderKey(), holderKey()];
    const subject = tokenOf(await ask(apps.allowed, proof(key)));
    const fields = { subject_token: subject };
    const mine = await ask(apps.allowed, proof(key), fields);
    expect(mine.body).toMatchObject({ token_type: 'DPoP' });
    expect(claimsOf(mine)).toMatchObject({ use: 'per_call', cnf: { jkt: key.jkt } });
    expect(told(await ask(apps.allowed, undefined, fields))).toEqual([401, 'invalid_token']);
    expect(told(await ask(apps.allowed, proof(thief), fields))).toEqual([401, 'invalid_token']);
  });
});

describe('a client certificate', () => {
  it('binds what is minted over its connection, and its thief’s connection has another', async () => {
    const [mine, other] = [await client('mine'), await client('other')];
    const reply = await mine.ask(apps.required);
    expect(reply.status).toBe(200);
    // RFC 8705 §3: the type stays Bearer.
    expect(reply.body).toMatchObject({ token_type: 'Bearer' });
    expect(claimsOf(reply).cnf).toEqual({ 'x5t#S256': mine.thumbprint });
    const fields = { subject_token: tokenOf(reply) };
    expect((await mine.ask(apps.required, fields)).status).toBe(200);
    expect(told(await other.ask(apps.required, fields))).toEqual([401, 'invalid_token']);
    expect(told(await ask(apps.required, proof(holderKey()), fields))).toEqual([401, 'invalid_token']);
    await Promise.all([mine, other].map(async ({ agent }) => agent.destroy()));
  });

  it('of a service of ours binds nothing: it is an identity', async () => {
    const { tlsFolder } = sts.installation;
    const read = (name: string): string => readFileSync(join(tlsFolder, name), 'utf8');
    const agent = agentWith({ cert: read('gateway.pem'), key: read('gateway-key.pem') });
    const reply = await post(agent, body(apps.allowed));
    expect(claimsOf(reply).cnf).toBeUndefined();
    await agent.destroy();
  });
});

describe('CLIENT_CA_FILE', () => {
  it('lets only certificates of its authorities prove anything', async () => {
    const root = await createAuthority({ commonName: 'clients' });
    const file = join(sts.installation.tlsFolder, 'clients.pem');
    writeFileSync(file, root.certificatePem);
    const replica = await sts.installation.startReplica('sts', { overrides: { CLIENT_CA_FILE: file } });
    const [known, unknown] = [await client('known', root), await client('unknown')];
    expect(claimsOf(await known.ask(apps.required, {}, replica.url)).cnf).toEqual({ 'x5t#S256': known.thumbprint });
    expect(told(await unknown.ask(apps.required, {}, replica.url))).toEqual([400, 'invalid_dpop_proof']);
    await Promise.all([known, unknown].map(async ({ agent }) => agent.destroy()));
    await replica.process.stop();
  });
});

describe('after Redis has lost its memory', () => {
  it('a proof that was used at one STS is not taken at another', async () => {
    const replica = await sts.installation.startReplica('sts');
    const dpop = proof(holderKey());
    const headers = { 'content-type': 'application/x-www-form-urlencoded', dpop };
    const agent = agentWith({});
    const first = await request(`${replica.url}${path}`, {
      method: 'POST',
      headers,
      body: body(apps.allowed),
      dispatcher: agent,
    });
    expect(first.statusCode).toBe(200);
    await first.body.dump();
    await agent.destroy();
    const redis = createRedis({ url: sts.installation.redis.running().url, db: 0, name: 'test', logger: silentLogger });
    await redis.untilUp(AbortSignal.timeout(5_000));
    await redis.call('FLUSHALL');
    await redis[Symbol.asyncDispose]();
    const again = async (): Promise<unknown> => told(await ask(apps.allowed, dpop));
    await expect.poll(again, { timeout: 20_000 }).toEqual([400, 'use_dpop_nonce']);
    await replica.process.stop();
  });
});

describe('while Redis is away', () => {
  it('no proof is taken, because nobody can say that it is new', async () => {
    const dpop = proof(holderKey());
    await sts.installation.redis.running().stop();
    expect(told(await ask(apps.allowed, dpop))).toEqual([503, 'replay_store_unavailable']);
    await sts.installation.redis.restart();
    await expect.poll(async () => sts.installation.process('sts').isReady(), { timeout: 20_000 }).toBe(true);
    const key = holderKey();
    const served = async (): Promise<number> => {
      const { headers } = await ask(apps.allowed, proof(key, { nonce: undefined }));
      return (await ask(apps.allowed, proof(key, { nonce: String(headers['dpop-nonce']) }))).status;
    };
    await expect.poll(served, { timeout: 20_000 }).toBe(200);
  });
});

function agentWith(certificate: { readonly cert?: string; readonly key?: string }): Agent {
  const ca = readFileSync(join(sts.installation.tlsFolder, 'ca.pem'));
  return new Agent({ connect: { ca, servername: 'localhost', ...certificate } });
}

async function post(agent: Agent, text: string, url = sts.url): Promise<Reply> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const reply = await request(`${url}${path}`, {
    method: 'POST',
    dispatcher: agent,
    headers,
    body: text,
  });
  return { status: reply.statusCode, headers: reply.headers, body: (await reply.body.json()) as Reply['body'] };
}

/** A client with a certificate of this authority, or of one that nobody knows. */
async function client(commonName: string, authority?: Authority) {
  const root = authority ?? (await createAuthority({ commonName: `${commonName} root` }));
  const issued = await issueCertificate(root, { commonName });
  const { raw } = new X509Certificate(issued.certificatePem);
  const agent = agentWith({ cert: issued.certificatePem, key: issued.privateKeyPem });
  return {
    agent,
    thumbprint: createHash('sha256').update(raw).digest('base64url'),
    ask: async (app: TestApplication, fields: FormFields = {}, url = sts.url): Promise<Reply> =>
      post(agent, body(app, fields), url),
  };
}

/** Two DPoP header lines in one request; undici would join them itself. */
async function twoHeaders(one: string, two: string): Promise<number> {
  const ca = readFileSync(join(sts.installation.tlsFolder, 'ca.pem'));
  const text = body(apps.allowed);
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', dpop: [one, two] };
    const sent = h1Request(`${sts.url}${path}`, { method: 'POST', ca, servername: 'localhost', headers }, (reply) => {
      reply.resume();
      resolve(reply.statusCode ?? 0);
    });
    sent.once('error', reject);
    sent.end(text);
  });
}
