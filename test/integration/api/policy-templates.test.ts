// The starter policies, enforced by the real STS: without data each allows nothing, with it what the data names.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent, request } from 'undici';
import { startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

let api: ApiInstallation;
let agent: Agent;
let zoneId: string;
let base: string;
let application: { id: string; secret: string };

beforeAll(async () => {
  api = await startApi({ services: ['sts', 'api'] });
  const ca = readFileSync(join(api.installation.tlsFolder, 'ca.pem'));
  agent = new Agent({ connect: { ca, servername: 'localhost' } });
  zoneId = await api.zone('Templates');
  base = `/v1/zones/${zoneId}`;
  const made = await post(`${base}/applications`, { name: 'app', traits: ['role:reader'] });
  application = { id: textOf(made, 'id'), secret: textOf(made, 'client_secret') };
  const resource = { identifier: 'resource://calendar', upstream_url: 'http://c.test' };
  await post(`${base}/resources`, { ...resource, scopes: ['calendar:read', 'calendar:write'] });
});
afterAll(async () => {
  await agent.destroy();
  await api[Symbol.asyncDispose]();
});

const post = (path: string, body: unknown): Promise<Reply> => api.call('POST', path, { body });

/** Makes a set of one template with this data what the zone enforces, and waits until the STS enforces it. */
async function enforce(template: string, params: object): Promise<void> {
  const templates = (await api.call('GET', '/v1/policy-templates')).body['items'] as { id: string; content: string }[];
  const content = templates.find(({ id }) => id === template)?.content;
  const name = `${template} ${JSON.stringify(params)}`.slice(0, 200);
  const policy = await post(`${base}/policies`, { name, content });
  const set = `${base}/policy-sets/${textOf(await post(`${base}/policy-sets`, { name }), 'id')}`;
  const manifest = [{ policy_version_id: (policy.body['version'] as { id: string }).id }];
  const version = await post(`${set}/versions`, { manifest, params });
  const activated = await post(`${set}/activate`, { version_id: textOf(version, 'id') });
  for (let tries = 0; tries < 400; tries += 1) {
    if ((await api.call('GET', textOf(activated, 'status_url'))).body['propagated'] === true) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('the STS never enforced it');
}

/** The status of an exchange for these scopes. */
async function exchange(scope: string): Promise<number> {
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    zone_id: zoneId,
    application_id: application.id,
    client_secret: application.secret,
    resource: 'resource://calendar',
    scope,
  });
  const answer = await request(`${api.installation.urls.sts}/oauth/2/token`, {
    method: 'POST',
    dispatcher: agent,
    body: form.toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  await answer.body.dump();
  return answer.statusCode;
}

describe('a zone', () => {
  test('denies before anything is activated', async () => {
    expect(await exchange('calendar:read')).toBe(403);
  });
});

describe('a starter policy', () => {
  test.each([
    ...['role-based', 'attribute-based', 'per-resource-scopes', 'delegation-bounded', 'per-tool', 'step-up-by-scope'],
    ...['business-hours', 'read-only-by-default'],
  ])('%s allows nothing without data', async (id) => {
    await enforce(id, {});
    expect(await exchange('calendar:read')).toBe(403);
    expect(await exchange('calendar:read calendar:write')).toBe(403);
  });

  test('by roles allows what a role of the application covers, and not a scope more', async () => {
    await enforce('role-based', { roles: { reader: { 'resource://calendar': ['calendar:read'] } } });
    expect(await exchange('calendar:read')).toBe(200);
    expect(await exchange('calendar:write')).toBe(403);
    expect(await exchange('calendar:read calendar:write')).toBe(403);
  });

  test('by application and resource allows what is listed for this application', async () => {
    await enforce('per-resource-scopes', { allow: { [application.id]: { 'resource://calendar': ['calendar:read'] } } });
    expect(await exchange('calendar:read')).toBe(200);
    expect(await exchange('calendar:write')).toBe(403);
    await enforce('per-resource-scopes', { allow: { another: { 'resource://calendar': ['calendar:read'] } } });
    expect(await exchange('calendar:read')).toBe(403);
  });

  test('for delegations allows nothing to who acts without one', async () => {
    await enforce('delegation-bounded', { max_hops: 5, scopes: ['calendar:read'] });
    expect(await exchange('calendar:read')).toBe(403);
  });
});
