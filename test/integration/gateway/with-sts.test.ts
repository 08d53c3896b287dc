// Gateway and STS as processes, on real stores and OPA: the contract between them holds beyond what either's own tests
// assume of the other.
import { request as tlsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  allowAll,
  grantType,
  startSts,
  type StsInstallation,
  type TestApplication,
  type TestZone,
} from '../sts/sts-installation.ts';
import { createRedis } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import { startUpstream, until, whole, type Answer, type Upstream } from './gateway-bed.ts';

let sts: StsInstallation;
let upstream: Upstream;
let zone: TestZone;
let application: TestApplication;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  upstream = stack.use(await startUpstream());
  const named = { UPSTREAM_DEV_LOOPBACK_HOSTS: `127.0.0.1:${upstream.port}` };
  sts = stack.use(await startSts({ services: ['sts', 'gateway'], overrides: { gateway: named, sts: named } }));
  zone = await sts.zone();
  application = await sts.application(zone);
  await sts.resource(zone, {
    identifier: 'res',
    scopes: ['read', 'write'],
    upstreamUrl: upstream.url,
    operations: [
      { method: 'GET', path: '/items/*', scope: 'read' },
      { method: 'POST', path: '/items', scope: 'write' },
    ],
    operationEnforcement: true,
  });
  await sts.policy(zone, [allowAll]);
});
afterAll(async () => await stack.disposeAsync());

async function mandate(scope: string): Promise<string> {
  const reply = await sts.token(application, { grant_type: grantType, resource: 'res', scope });
  expect(reply.status).toBe(200);
  return String(reply.body['access_token']);
}

async function call(token: string, method = 'GET', path = '/items/1'): Promise<Answer> {
  const { hostname, port } = new URL(sts.installation.urls.gateway);
  const sent = tlsRequest({
    hostname,
    port,
    method,
    path,
    agent: false,
    ca: readFileSync(join(sts.installation.tlsFolder, 'ca.pem')),
    headers: { authorization: `Bearer ${token}`, 'x-caracal-resource': 'res' },
  });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve).on('error', reject);
    sent.end();
  });
  return await whole({ response });
}

describe('Gateway and STS', () => {
  test('an allowed operation reaches the upstream, one beyond the mandate’s scope does not', async () => {
    const token = await mandate('read');
    expect(await call(token)).toMatchObject({ status: 200, body: 'from upstream' });
    const refused = await call(token, 'POST', '/items');
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.body)).toMatchObject({ error: 'insufficient_scope' });
    expect(refused.headers['www-authenticate']).toContain('scope="write"');
    expect(upstream.seen.map(({ method }) => method)).toEqual(['GET']);
  });

  test('the same question is asked once and answered again, each time with evidence', async () => {
    const token = await mandate('read');
    for (let n = 0; n < 20; n += 1) expect((await call(token)).status).toBe(200);
    const { body } = await call(token, 'GET', '/metrics');
    const reused = Number(/call_seconds_count\{decided_by="reuse"\} (\d+)/.exec(body)?.[1] ?? 0);
    expect(reused).toBeGreaterThanOrEqual(15);
  });

  test('revoking the session refuses the next call', async () => {
    const token = await mandate('read');
    expect((await call(token)).status).toBe(200);
    const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sid: string };
    const anchors = JSON.stringify([{ kind: 'session', anchor: sid }]);
    await sts.inZone(zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [zone.id, anchors, 'test']);
    await until(async () => (await call(token)).status === 401, 'refusal');
  });

  test('SIGTERM during a streamed answer lets it finish, and leaves its evidence', async () => {
    const token = await mandate('read');
    const begun = Promise.withResolvers<() => void>();
    upstream.handle = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('first ');
      begun.resolve(() => response.end('last'));
    };
    const answer = call(token);
    const finish = await begun.promise;
    const gateway = sts.installation.process('gateway');
    gateway.signal('SIGTERM');
    await until(() => gateway.log().includes('stopping'), 'the signal');
    finish();
    expect(await answer).toMatchObject({ status: 200, body: 'first last' });
    expect(await gateway.exited).toMatchObject({ code: 0 });
    const redisUrl = sts.installation.redis.running().url;
    const redis = createRedis({ url: redisUrl, db: 0, name: 'reader', logger: silentLogger });
    await redis.untilUp(AbortSignal.timeout(5000));
    const events = JSON.stringify(await redis.call('XRANGE', 'caracal.audit.events', '-', '+'));
    await redis[Symbol.asyncDispose]();
    expect(events).toContain('\\"bytes_out\\":10');
  });
});
