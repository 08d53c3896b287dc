// Who gets through the gate, how often, and that it stands before everything else.
import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, textOf } from './api-installation.ts';
import type { ApiInstallation } from './api-installation.ts';

const authenticationFailures = 200;
let api: ApiInstallation;
let zoneId: string;
let otherId: string;

beforeAll(async () => {
  const overrides = { api: { ADMIN_AUTH_FAIL_LIMIT_PER_MIN: String(authenticationFailures) } };
  api = await startApi({ services: ['sts', 'api'], overrides });
  [zoneId, otherId] = [await api.zone('One'), await api.zone('Two')];
});
afterAll(async () => api[Symbol.asyncDispose]());

async function token(body: object): Promise<string> {
  return textOf(await api.call('POST', '/v1/admin-tokens', { body: { name: 't', ...body } }), 'token');
}

/** Something of every group: method, path, whether it changes anything, and its reach. */
const routes = (zone: string): readonly (readonly [string, string, 'read' | 'write', 'zone' | 'global'])[] => [
  ['GET', '/v1/zones', 'read', 'global'],
  ['POST', '/v1/zones', 'write', 'global'],
  ['GET', '/v1/admin-tokens', 'read', 'global'],
  ['POST', '/v1/admin-tokens', 'write', 'global'],
  ['DELETE', '/v1/admin-tokens/x', 'write', 'global'],
  ['GET', '/v1/policy-templates', 'read', 'global'],
  ['GET', `/v1/zones/${zone}`, 'read', 'zone'],
  ['PATCH', `/v1/zones/${zone}`, 'write', 'zone'],
  ['GET', `/v1/zones/${zone}/applications`, 'read', 'zone'],
  ['POST', `/v1/zones/${zone}/applications`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/applications/x/rotate-secret`, 'write', 'zone'],
  ['DELETE', `/v1/zones/${zone}/applications/x`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/providers`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/resources`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/policies`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/policy-sets/x/activate`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/policy-sets/x/deactivate`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/revocations`, 'write', 'zone'],
  ['POST', `/v1/zones/${zone}/agent-sessions/x/end`, 'write', 'zone'],
  ['GET', `/v1/zones/${zone}/policy-sets/x`, 'read', 'zone'],
];

describe('the gate', () => {
  test('refuses every bearer that is no admin token', async () => {
    const valid = api.installation.adminToken;
    const wrong = ['', ' ', 'x', `${valid}x`, valid.slice(1), valid.toUpperCase(), `cat_${'A'.repeat(43)}`];
    for (const bearer of [...wrong, 'x'.repeat(5000)]) {
      const refused = await api.call('GET', '/v1/zones', { token: bearer });
      expect(refused, bearer).toMatchObject({ status: 401, body: { error: 'invalid_admin_token' } });
      expect(refused.headers['www-authenticate']).toContain('Bearer');
    }
    const basic = `Basic ${Buffer.from(`admin:${valid}`).toString('base64')}`;
    for (const authorization of [basic, valid, `Bearer  ${valid} x`, `Bearer`]) {
      const refused = await api.call('GET', '/v1/zones', { token: '', headers: { authorization } });
      expect(refused.status, authorization).toBe(401);
    }
  });

  test('lets a zone token reach its own zone and nothing else', async () => {
    const own = await token({ scope: 'zone', zone_id: zoneId, capability: 'write' });
    for (const [method, path, , reach] of routes(otherId)) {
      const refused = await api.call(method, path, { token: own });
      expect(refused, `${method} ${path}`).toMatchObject({ status: 403, body: { error: 'admin_token_zone_mismatch' } });
      expect(reach === 'zone' || reach === 'global').toBe(true);
    }
    expect((await api.call('GET', `/v1/zones/${zoneId}`, { token: own })).status).toBe(200);
    const made = await api.call('POST', `/v1/zones/${zoneId}/applications`, { token: own, body: { name: 'x' } });
    const foreign = `/v1/zones/${otherId}/applications/${textOf(made, 'id')}`;
    expect((await api.call('GET', foreign)).status).toBe(404);
    expect((await api.call('DELETE', foreign)).status).toBe(404);
  });

  test.each(['read', 'approve'])('lets a token that may only %s change nothing', async (capability) => {
    const sub = capability === 'approve' ? { sub: 'alice' } : {};
    const reading = await token({ scope: 'global', capability, ...sub });
    for (const [method, path, access] of routes(zoneId)) {
      const reply = await api.call(method, path, { token: reading });
      if (access === 'write') {
        expect(reply, `${method} ${path}`).toMatchObject({ status: 403, body: { error: 'admin_token_read_only' } });
      } else expect([200, 404], `${method} ${path}`).toContain(reply.status);
    }
  });

  test('closes to a token at once when it is revoked', async () => {
    const made = await api.call('POST', '/v1/admin-tokens', {
      body: { name: 'short', scope: 'global', capability: 'write' },
    });
    expect(made.body).toMatchObject({ scope: 'global', capability: 'write' });
    const own = textOf(made, 'token');
    expect((await api.call('GET', '/v1/zones', { token: own })).status).toBe(200);
    expect((await api.call('DELETE', `/v1/admin-tokens/${textOf(made, 'id')}`)).status).toBe(204);
    expect((await api.call('GET', '/v1/zones', { token: own })).status).toBe(401);
    expect((await api.call('DELETE', `/v1/admin-tokens/${textOf(made, 'id')}`)).status).toBe(404);
    const listed = await api.call('GET', '/v1/admin-tokens');
    expect(listed.text).not.toContain(textOf(made, 'id'));
    expect(listed.text).not.toContain(own);
  });

  test('makes no token that is wider or narrower than it says', async () => {
    const post = (body: object) => api.call('POST', '/v1/admin-tokens', { body: { name: 't', ...body } });
    expect((await post({ scope: 'global', capability: 'all' })).status).toBe(400);
    expect((await post({ scope: 'global', capability: 'read', zone_id: zoneId })).status).toBe(400);
    expect((await post({ scope: 'zone', capability: 'read' })).status).toBe(400);
    expect((await post({ scope: 'zone', capability: 'read', zone_id: 'nobody' })).status).toBe(404);
  });

  test('asks who it is before a body is read', async () => {
    const refused = await api.call('POST', '/v1/zones', { token: '', rawBody: '{"name": broken' });
    expect(refused.status).toBe(401);
    // The answer comes although the announced body never does.
    const answer = await rawRequest('POST /v1/zones HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('writes nothing for those it refuses', async () => {
    const count = async () => (await api.sql<{ n: string }>('SELECT count(*) AS n FROM api.outbox'))[0]?.n;
    const before = await count();
    for (let tries = 0; tries < 20; tries += 1)
      await api.call('POST', '/v1/zones', { token: 'x', body: { name: 'x' } });
    expect(await count()).toBe(before);
  });
});

describe('limits', () => {
  test('tell an address that guesses to come later, and let the right token pass all the while', async () => {
    let limited;
    for (let tries = 0; tries < authenticationFailures * 2 && limited === undefined; tries += 1) {
      const reply = await api.call('GET', '/v1/zones', { token: 'guess' });
      if (reply.status === 429) limited = reply;
      else expect(reply.status).toBe(401);
    }
    expect(limited).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
    expect(Number(limited?.headers['retry-after'])).toBeGreaterThan(0);
    expect((await api.call('GET', '/v1/zones')).status).toBe(200);
  });

  test('count per token, in the process too while Redis is away', async () => {
    await using small = await startApi({
      services: ['sts', 'api'],
      overrides: { api: { API_V1_RATE_LIMIT_PER_MIN: '20' } },
    });
    const statuses = async (): Promise<number[]> => {
      const replies = await Promise.all(Array.from({ length: 40 }, () => small.call('GET', '/v1/zones')));
      return replies.map(({ status }) => status);
    };
    const counted = await statuses();
    expect(counted.filter((status) => status === 200)).toHaveLength(20);
    expect(new Set(counted)).toEqual(new Set([200, 429]));
    await small.installation.redis.running().stop();
    const without = await statuses();
    expect(without.filter((status) => status === 200).length).toBeLessThanOrEqual(20);
    expect(without.filter((status) => status === 200).length).toBeGreaterThan(0);
    expect(new Set(without)).toEqual(new Set([200, 429]));
  });
});

describe('the bootstrap token', () => {
  test('stands after a restart, and ends when the environment names another', async () => {
    const old = api.installation.adminToken;
    const restart = async (overrides: Record<string, string>) => {
      await api.installation.process('api').stop();
      await api.installation.start('api', overrides);
    };
    await restart({});
    expect((await api.call('GET', '/v1/zones')).status).toBe(200);
    const next = `next-${'0123456789abcdef'.repeat(3)}`;
    await restart({ ADMIN_TOKEN: '', CARACAL_ADMIN_TOKEN: next });
    expect((await api.call('GET', '/v1/zones', { token: next })).status).toBe(200);
    expect((await api.call('GET', '/v1/zones', { token: old })).status).toBe(401);
  });
});

/** Sends bytes over TLS and gives what comes back within the first answer. */
function rawRequest(bytes: string): Promise<string> {
  const ca = readFileSync(join(api.installation.tlsFolder, 'ca.pem'));
  const { port } = new URL(api.installation.urls.api);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), ca, servername: 'localhost' }, () => {
      socket.write(bytes);
    });
    socket.once('data', (data: Buffer) => {
      resolve(data.toString('latin1'));
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('end', () => reject(new Error('closed without an answer')));
  });
}
