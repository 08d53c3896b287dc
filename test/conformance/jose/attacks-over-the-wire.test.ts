// The attack list shown to every verifier of a running installation: the token endpoint, the Gateway, the Coordinator. Each
// answers with its documented refusal, says nothing of why, and goes on serving.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { parseMandate, zoneJwk } from '#mesh/mandate';
import {
  allowAll,
  form,
  grantType,
  startSts,
  type StsInstallation,
  type TestApplication,
  type TestZone,
} from '../../integration/sts/sts-installation.ts';
import { forge, testKey } from '../../support/mandates.ts';
import { holderKey, makeProof } from '../../support/proofs.ts';
import { attacksOn, type Attack } from './attacks.ts';

const lifecycle = 'agent:lifecycle';
const key = testKey(newId());
let sts: StsInstallation;
let zone: TestZone;
let application: TestApplication;
let agent: Agent;
let claims: Record<string, unknown>;

beforeAll(async () => {
  sts = await startSts({ services: ['sts', 'coordinator', 'gateway'] });
  zone = await sts.zone();
  application = await sts.application(zone, { senderConstraint: 'allowed' });
  const upstreamUrl = `http://127.0.0.1:${sts.installation.upstreamPort}`;
  await sts.resource(zone, { identifier: 'reports', scopes: ['read'], upstreamUrl });
  await sts.policy(zone, [allowAll]);
  await sts.inZone(
    zone.id,
    `INSERT INTO sts.zone_keys (id, zone_id, version, public_jwk, envelope, signs_from, signs_until)
     VALUES ($1, $2, 99, $3, 'none', now() - interval '2 hours', now() - interval '1 hour')`,
    [key.kid, zone.id, JSON.stringify(zoneJwk(key.kid, key.publicKey))],
  );
  const reply = await sts.token(application, { resource: 'reports', scope: `read ${lifecycle}` });
  claims = { ...parseMandate(String(reply.body['access_token']))?.claims };
  agent = new Agent({ connect: { ca: readFileSync(join(sts.installation.tlsFolder, 'ca.pem')) } });
}, 120_000);

afterAll(async () => {
  await agent?.destroy();
  await sts?.[Symbol.asyncDispose]();
});

interface Told {
  readonly status: number;
  readonly error: string | undefined;
  readonly text: string;
}

interface Shown {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

async function ask(origin: string, { path, headers, body }: Shown): Promise<Told> {
  const method = body === undefined ? 'GET' : 'POST';
  const reply = await agent.request({ origin, path, method, headers, ...(body === undefined ? {} : { body }) });
  const text = await reply.body.text();
  try {
    return { status: reply.statusCode, error: (JSON.parse(text) as { error?: string }).error, text };
  } catch {
    return { status: reply.statusCode, error: undefined, text };
  }
}

const tokenPath = '/oauth/2/token';
const formHeaders = { 'content-type': 'application/x-www-form-urlencoded' };

const places = {
  'the token endpoint': async (token: string): Promise<Told> => {
    const own = { zone_id: zone.id, application_id: application.id, client_secret: application.secret };
    const body = form({ ...own, grant_type: grantType, resource: 'reports', subject_token: token });
    return ask(sts.url, { path: tokenPath, headers: formHeaders, body });
  },
  'the Gateway': async (token: string): Promise<Told> => {
    const headers = { authorization: `Bearer ${token}`, 'x-caracal-resource': 'reports' };
    return ask(sts.installation.urls.gateway, { path: '/x', headers });
  },
  'the Coordinator': async (token: string): Promise<Told> => {
    const headers = { authorization: `Bearer ${token}` };
    return ask(sts.installation.urls.coordinator, { path: `/zones/${zone.id}/agents`, headers });
  },
} as const;

const genuine = () => ({ header: { alg: 'ES256', kid: key.kid, typ: 'JWT' }, claims, key });
/** What HTTP itself takes in a header: the others never become a request. */
const fitsHeader = ({ token }: Attack): boolean => /^[\x20-\x7e]*$/.test(token) && token.length < 12_000;
/** 431: longer than the server reads. */
const refusals = [400, 401, 431];

describe.each(Object.keys(places) as (keyof typeof places)[])('%s', (name) => {
  it('takes the genuine token, refuses every attack on it in the same words, and still takes the genuine one', async () => {
    const show = places[name];
    const token = forge(JSON.stringify(genuine().header), JSON.stringify(claims), key);
    const taken = await show(token);
    // Nothing listens at the upstream: the Gateway has let the call through when it cannot reach it.
    expect([200, 502]).toContain(taken.status);
    const wrong: unknown[] = [];
    for (const attack of attacksOn(genuine()).filter(fitsHeader)) {
      const told = await show(attack.token);
      const isDocumented =
        refusals.includes(told.status) &&
        ['invalid_token', 'invalid_request', 'unauthenticated'].includes(told.error ?? 'invalid_request');
      if (!isDocumented || told.text.includes(attack.token)) wrong.push([attack.name, told.status, told.error]);
    }
    expect(wrong).toEqual([]);
    expect((await show(token)).status).toBe(taken.status);
  });
});

describe('a proof at the token endpoint', () => {
  it('is refused for every attack on it, never with an error of ours', async () => {
    const holder = holderKey();
    const url = `${sts.url}/oauth/2/token`;
    const proofClaims = { jti: newId(), htm: 'POST', htu: url, iat: Math.floor(Date.now() / 1000) };
    const jwk = key.publicKey.export({ format: 'jwk' });
    const attacks = attacksOn({ header: { typ: 'dpop+jwt', alg: 'ES256', jwk }, claims: proofClaims, key });
    const own = { zone_id: zone.id, application_id: application.id, client_secret: application.secret };
    const body = form({ ...own, grant_type: grantType, resource: 'reports' });
    const show = async (dpop: string): Promise<Told> =>
      ask(sts.url, { path: tokenPath, headers: { ...formHeaders, dpop }, body });
    const wrong: unknown[] = [];
    for (const attack of attacks.filter(fitsHeader)) {
      const { status, error } = await show(attack.token);
      // A stranger's proof of a key of its own is right; without a nonce it is sent for one, as any client is.
      if (status !== 400 && status !== 431 && status !== 200) wrong.push([attack.name, status, error]);
      if (status === 200 && !attack.name.startsWith('jwk') && attack.name !== 'a prototype') wrong.push([attack.name]);
    }
    expect(wrong).toEqual([]);
    expect((await show(makeProof({ key: holder, url, iat: 1 }))).error).toBe('use_dpop_nonce');
  });
});
