// The story of a user over STS, API, Gateway and Audit as processes: somebody signs in at their own provider, an agent acts
// for them on what they granted, and one revocation ends it all, the open stream included.
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimsOf } from '../integration/sts/sts-installation.ts';
import type { TestApplication } from '../integration/sts/sts-installation.ts';
import { type GovernedWorld, startGovernedWorld } from './governed-world.ts';

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const issuer = 'https://login.example';

let world: GovernedWorld;
let provider: Server;
let agent: TestApplication;
let subject: string;
let grantId: string;
let userMandate: string;

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function idToken(more: object): string {
  // As far ahead as clocks may be, so that it is younger than the memory of the Redis that was just started.
  const now = Math.floor(Date.now() / 1000) + 50;
  const claims = { iss: issuer, aud: 'acme', sub: 'alice', iat: now, exp: now + 600, ...more };
  const input = `${encoded({ alg: 'ES256', kid: 'k' })}.${encoded(claims)}`;
  const signed = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signed.toString('base64url')}`;
}

interface AdminReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function admin(method: 'POST' | 'DELETE', path: string, body?: object): Promise<AdminReply> {
  const { installation } = world.sts;
  const reply = await world.dispatcher.request({
    origin: installation.urls.api,
    path: `/v1/zones/${world.zone.id}${path}`,
    method,
    headers: {
      authorization: `Bearer ${installation.adminToken}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await reply.body.text();
  return { status: reply.statusCode, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

beforeAll(async () => {
  provider = createServer((_, response) => {
    const jwk = { ...key.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' };
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  const { port } = provider.address() as AddressInfo;
  world = await startGovernedWorld({
    services: ['sts', 'audit', 'gateway', 'api'],
    overrides: { sts: { UPSTREAM_DEV_LOOPBACK_HOSTS: `127.0.0.1:${port}` } },
  });
  agent = await world.sts.application(world.zone);
  const registered = await admin('POST', '/subject-issuers', {
    issuer,
    jwks_url: `http://127.0.0.1:${port}/keys`,
    audience: 'acme',
    algorithms: ['ES256'],
    may_act: 'id_token',
  });
  expect(registered.status).toBe(201);
  subject = `user:${String(registered.body['id'])}:alice`;
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  provider?.close();
});

const acting = async (): Promise<string> => {
  const own = await world.sts.token(agent, { resource: 'reports' });
  const reply = await world.sts.token(agent, {
    subject_token: userMandate,
    subject_token_type: accessTokenType,
    actor_token: String(own.body['access_token']),
    actor_token_type: accessTokenType,
    resource: 'reports',
  });
  expect(reply.status, JSON.stringify(reply.body)).toBe(200);
  return String(reply.body['access_token']);
};

describe('a user', () => {
  it('signs in, names who may act, and is somebody who may do nothing yet', async () => {
    const ask = async () =>
      world.sts.token(world.application, {
        subject_token: idToken({ nonce: Math.random(), may_act: { client_id: agent.id } }),
        subject_token_type: idTokenType,
      });
    await expect.poll(async () => (await ask()).status, { timeout: 60_000 }).toBe(200);
    const reply = await ask();
    expect(claimsOf(reply)).toMatchObject({ sub: subject, sub_type: 'user', may_act: { client_id: agent.id } });
    userMandate = String(reply.body['access_token']);
    expect((await world.call(userMandate, '/mine')).status).toBe(401);
  });

  it('grants an application something, and the agent that acts for them reaches it once per mandate', async () => {
    const [row] = await world.sts.sql<{ id: string }>(
      "SELECT id FROM api.resources WHERE zone_id = $1 AND identifier = 'reports'",
      [world.zone.id],
    );
    const granted = await admin('POST', '/grants', {
      application_id: world.application.id,
      subject,
      resource_id: row?.id,
      scopes: ['read'],
    });
    expect(granted.status).toBe(201);
    grantId = String(granted.body['id']);
    await expect
      .poll(async () => acting().catch(() => undefined), { timeout: 20_000, interval: 200 })
      .toEqual(expect.any(String));
    const mandate = await acting();
    expect(await world.call(mandate, '/mine')).toMatchObject({ status: 200 });
    expect(await world.call(mandate, '/mine')).toMatchObject({ status: 401 });
    expect(await world.call(await acting(), '/mine', { method: 'POST' })).toMatchObject({ status: 403 });
  });

  it('is in the evidence with who acted, and in no header of the upstream', async () => {
    const reply = await world.call(await acting(), '/mine');
    const entries = await world.trace(reply.requestId, (types) => types.includes('gateway.outcome'));
    const decision = entries.find(({ event }) => event?.eventType === 'gateway.decision')?.event;
    expect(decision?.metadata).toMatchObject({ subject, actor: agent.id, application_id: agent.id });
    expect(JSON.stringify(world.seen.at(-1)?.headers)).not.toContain(userMandate.slice(-20));
  });

  it('takes it back in one call: the mandate in hand is refused, the open answer is cut', async () => {
    const [unused, streaming] = [await acting(), await acting()];
    const open = await world.dispatcher.request({
      origin: world.sts.installation.urls.gateway,
      path: '/live',
      method: 'GET',
      headers: { authorization: `Bearer ${streaming}`, 'x-caracal-resource': 'reports' },
    });
    expect(open.statusCode).toBe(200);
    const ended = (async () => {
      for await (const _chunk of open.body);
    })().then(
      () => 'ended',
      () => 'cut',
    );
    const revoked = await admin('DELETE', `/grants/${grantId}?wait=applied`);
    expect(revoked).toMatchObject({ status: 200, body: { applied: true } });
    const before = world.seen.length;
    expect(await world.call(unused, '/mine')).toMatchObject({ status: 401 });
    expect(world.seen.length).toBe(before);
    expect(await ended).toBe('cut');
    const again = await world.sts.token(agent, {
      subject_token: userMandate,
      actor_token: String((await world.sts.token(agent, { resource: 'reports' })).body['access_token']),
      actor_token_type: accessTokenType,
      resource: 'reports',
    });
    expect(again).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });
});
