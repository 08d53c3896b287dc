// The story of an agent whose mandates are bound to its key, over STS, Coordinator, two Gateways and Audit as processes:
// what it can do, what a thief of its mandate cannot, and how its child gets a key of its own.
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConnectError } from '@connectrpc/connect';
import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMandate } from '#mesh/mandate';
import { createAuthority, issueCertificate } from '../../dev/certificates.ts';
import { form, grantType, type FormFields, type TestApplication } from '../integration/sts/sts-installation.ts';
import { holderKey, makeProof, type HolderKey, type ProofParts } from '../support/proofs.ts';
import { type CallReply, type GovernedWorld, lifecycle, startGovernedWorld } from './governed-world.ts';

let world: GovernedWorld;
let agent: TestApplication;
let ambient: string;
const key = holderKey();
const thief = holderKey();

beforeAll(async () => {
  world = await startGovernedWorld();
  agent = await world.sts.application(world.zone, { senderConstraint: 'required' });
  ambient = await tokenFor(agent, key);
});

afterAll(() => world?.[Symbol.asyncDispose]());

const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const claimsOf = (token: string) => parseMandate(token)?.claims;

/** As a client does: a proof, and once more with the nonce when one is asked for. */
async function tokenFor(application: TestApplication, holder: HolderKey, fields: FormFields = {}): Promise<string> {
  const own = { zone_id: world.zone.id, application_id: application.id, client_secret: application.secret };
  const wish = { grant_type: grantType, resource: 'reports', scope: `read write ${lifecycle}` };
  let nonce: string | undefined;
  for (;;) {
    const url = `${world.sts.url}/oauth/2/token`;
    const dpop = makeProof({ key: holder, url, iat: nowSeconds(), nonce });
    const reply = await world.sts.post('/oauth/2/token', form({ ...own, ...wish, ...fields }), { dpop });
    if (reply.status === 200) return String(reply.body['access_token']);
    if (nonce !== undefined) throw new Error(JSON.stringify(reply.body));
    nonce = String(reply.headers['dpop-nonce']);
  }
}

const gatewayUrl = (): string => world.sts.installation.urls.gateway;

function proofFor(token: string, path: string, parts: Partial<ProofParts> = {}): string {
  const url = `${gatewayUrl()}${path.split('?', 1)[0]}`;
  return makeProof({ key, method: 'GET', url, iat: nowSeconds(), accessToken: token, ...parts });
}

/** One governed call with these very headers. */
async function show(path: string, headers: Record<string, string>): Promise<CallReply> {
  return world.call(undefined, path, { headers });
}

/** A governed call as a client makes it: once more with the nonce when one is asked for. */
async function call(token: string, path: string, parts: Partial<ProofParts> = {}): Promise<CallReply> {
  const authorization = `DPoP ${token}`;
  const first = await show(path, { authorization, dpop: proofFor(token, path, parts) });
  if (first.error !== 'use_dpop_nonce') return first;
  const nonce = String(first.headers['dpop-nonce']);
  return show(path, { authorization, dpop: proofFor(token, path, { ...parts, nonce }) });
}

describe('an agent with a key', () => {
  it('reaches its upstream with a proof for each call, none of which the upstream sees', async () => {
    expect(claimsOf(ambient)?.cnf).toEqual({ jkt: key.jkt });
    expect(await call(ambient, '/reports?page=2')).toMatchObject({ status: 200, text: '{"ok":true}' });
    const { headers, url } = world.seen.at(-1) ?? {};
    expect(url).toBe('/reports?page=2');
    expect(headers?.authorization).toBeUndefined();
    expect(headers?.['dpop']).toBeUndefined();
    expect(await call(ambient, '/reports')).toMatchObject({ status: 200 });
    expect(await call(ambient, `${world.mount}/reports`)).toMatchObject({ status: 200 });
  });

  it('exchanges for one call, which is bound alike and good once', async () => {
    const single = await tokenFor(agent, key, { subject_token: ambient, scope: 'read' });
    expect(claimsOf(single)).toMatchObject({ use: 'per_call', cnf: { jkt: key.jkt } });
    expect(await call(single, '/once', { key: thief })).toMatchObject({ status: 401, error: 'invalid_dpop_proof' });
    expect(await call(single, '/once')).toMatchObject({ status: 200 });
    expect(await call(single, '/once')).toMatchObject({ status: 401, error: 'invalid_token' });
  });

  it('is served with a clock that is hours off, by the nonce it is given', async () => {
    const iat = nowSeconds() - 7200;
    const authorization = `DPoP ${ambient}`;
    const first = await show('/reports', { authorization, dpop: proofFor(ambient, '/reports', { iat }) });
    expect(first).toMatchObject({ status: 401, error: 'use_dpop_nonce' });
    expect(first.headers['www-authenticate']).toMatch(/^DPoP error="use_dpop_nonce", algs="ES256 /);
    const served = await call(ambient, '/reports', { iat });
    expect(served).toMatchObject({ status: 200 });
    // The next nonce comes with the answer, so that only the first call of all is sent back.
    const nonce = String(served.headers['dpop-nonce']);
    const next = proofFor(ambient, '/reports', { iat, nonce });
    expect(await show('/reports', { authorization, dpop: next })).toMatchObject({ status: 200 });
  });
});

describe('a thief of its mandate', () => {
  it('gets nothing: not as a bearer, not with its own key, not with what it has overheard', async () => {
    const before = world.seen.length;
    const path = '/secret';
    const overheard = proofFor(ambient, path);
    const attempts: readonly (readonly [Record<string, string>, string])[] = [
      [{ authorization: `Bearer ${ambient}` }, 'invalid_token'],
      [{ authorization: `Bearer ${ambient}`, dpop: overheard }, 'invalid_token'],
      [{ authorization: `DPoP ${ambient}` }, 'invalid_dpop_proof'],
      [{ authorization: `DPoP ${ambient}`, dpop: proofFor(ambient, path, { key: thief }) }, 'invalid_dpop_proof'],
      [{ authorization: `DPoP ${ambient}`, dpop: proofFor(ambient, '/other') }, 'invalid_dpop_proof'],
      [{ authorization: `DPoP ${ambient}`, dpop: proofFor(ambient, path, { method: 'POST' }) }, 'invalid_dpop_proof'],
    ];
    for (const [headers, error] of attempts) {
      expect(await show(path, headers)).toMatchObject({ status: 401, error });
    }
    expect(world.seen.length).toBe(before);
    await expect(tokenFor(agent, thief, { subject_token: ambient })).rejects.toThrow('invalid_token');
    const reply = await show(path, attempts[3]?.[0] ?? {});
    const entries = await world.trace(reply.requestId, (types) => types.includes('gateway.decision'));
    const { event } = entries[0] ?? {};
    expect(event).toMatchObject({ decision: 'deny', evaluationStatus: 'dpop_proof_rejected' });
  });

  it('is too late with a proof that was used, at every Gateway', async () => {
    const second = await world.sts.installation.startReplica('gateway', {
      overrides: { GATEWAY_PUBLIC_URLS: gatewayUrl() },
    });
    const authorization = `DPoP ${ambient}`;
    const nonce = String((await show('/x', { authorization, dpop: 'junk' })).headers['dpop-nonce']);
    const dpop = proofFor(ambient, '/reports', { nonce });
    const headers = { authorization, dpop, 'x-caracal-resource': 'reports' };
    expect(await show('/reports', headers)).toMatchObject({ status: 200 });
    expect(await show('/reports', headers)).toMatchObject({ status: 401, error: 'invalid_dpop_proof' });
    const elsewhere = async (shown: Record<string, string>): Promise<number> => {
      const reply = await world.dispatcher.request({
        origin: second.url,
        path: '/reports',
        method: 'GET',
        headers: shown,
      });
      await reply.body.dump();
      return reply.statusCode;
    };
    expect(await elsewhere(headers)).toBe(401);
    // The nonce of one Gateway is good at the other.
    expect(await elsewhere({ ...headers, dpop: proofFor(ambient, '/reports', { nonce }) })).toBe(200);
    await second.process.stop();
  });
});

describe('its child', () => {
  it('acts with a key of its own, which is the only one that its mandate takes', async () => {
    const child = holderKey();
    const path = '/caracal.coordinator.v1.CoordinatorService/StartSession';
    const start = (nonce?: string) => {
      const url = `${world.sts.installation.urls.coordinator}${path}`;
      const dpop = makeProof({ key, url, iat: nowSeconds(), accessToken: ambient, nonce });
      const wish = { zoneId: world.zone.id, applicationId: agent.id, mandate: true, dpopJkt: child.jkt };
      return world.coordinator.startSession(wish, { headers: { authorization: `DPoP ${ambient}`, dpop } });
    };
    const nonceOf = (error: unknown): string => ConnectError.from(error).metadata.get('dpop-nonce') ?? '';
    const started = await start().catch(async (error: unknown) => start(nonceOf(error)));
    const token = started.mandate?.token ?? '';
    expect(claimsOf(token)?.cnf).toEqual({ jkt: child.jkt });
    expect(await call(token, '/child', { key: child })).toMatchObject({ status: 200 });
    expect(await call(token, '/child')).toMatchObject({ status: 401, error: 'invalid_dpop_proof' });
    expect(await show('/child', { authorization: `Bearer ${token}` })).toMatchObject({ status: 401 });
  });
});

describe('an agent with a certificate', () => {
  it('is served on connections with that certificate alone', async () => {
    const [mine, other] = [await connection('mine'), await connection('other')];
    const application = await world.sts.application(world.zone, { senderConstraint: 'required' });
    const body = form({
      grant_type: grantType,
      zone_id: world.zone.id,
      application_id: application.id,
      client_secret: application.secret,
      resource: 'reports',
      scope: 'read',
    });
    const reply = await mine.agent.request({
      origin: world.sts.url,
      path: '/oauth/2/token',
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
    const granted = (await reply.body.json()) as { access_token: string; token_type: string };
    expect(granted.token_type).toBe('Bearer');
    expect(claimsOf(granted.access_token)?.cnf).toEqual({ 'x5t#S256': mine.thumbprint });
    const headers = { authorization: `Bearer ${granted.access_token}`, 'x-caracal-resource': 'reports' };
    const status = async (dispatcher: Agent): Promise<number> => {
      const answer = await dispatcher.request({ origin: gatewayUrl(), path: '/reports', method: 'GET', headers });
      await answer.body.dump();
      return answer.statusCode;
    };
    expect(await status(mine.agent)).toBe(200);
    expect(await status(other.agent)).toBe(401);
    expect(await status(world.dispatcher)).toBe(401);
    await Promise.all([mine, other].map(async (one) => one.agent.destroy()));
  });
});

describe('what the Gateway says of itself', () => {
  it('names the algorithms of proofs and that it sees certificates', async () => {
    const reply = await world.call(undefined, `/.well-known/oauth-protected-resource${world.mount}`, { resource: '' });
    expect(JSON.parse(reply.text)).toMatchObject({
      dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'],
      tls_client_certificate_bound_access_tokens: true,
    });
  });
});

describe('while Redis is away', () => {
  it('bearers are served and proofs are not, because nobody can say that they are new', async () => {
    const bearer = await world.mandate();
    expect(await world.call(bearer, '/reports')).toMatchObject({ status: 200 });
    expect(await call(ambient, '/reports')).toMatchObject({ status: 200 });
    await world.sts.installation.redis.running().stop();
    expect(await call(ambient, '/reports')).toMatchObject({ status: 503, error: 'replay_store_unavailable' });
    expect(await world.call(bearer, '/reports')).toMatchObject({ status: 200 });
    await world.sts.installation.redis.restart();
    const served = async (): Promise<number> => (await call(ambient, '/reports')).status;
    await expect.poll(served, { timeout: 20_000 }).toBe(200);
  });
});

/** Connections with a certificate of an authority that nobody here knows. */
async function connection(commonName: string) {
  const issued = await issueCertificate(await createAuthority({ commonName: `${commonName} root` }), { commonName });
  const ca = readFileSync(join(world.sts.installation.tlsFolder, 'ca.pem'));
  const certificate = { cert: issued.certificatePem, key: issued.privateKeyPem };
  return {
    agent: new Agent({ connect: { ca, servername: 'localhost', ...certificate } }),
    thumbprint: createHash('sha256').update(new X509Certificate(issued.certificatePem).raw).digest('base64url'),
  };
}
