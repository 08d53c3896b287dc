// Approvals over the API: raised by a real STS, seen and decided by tokens of every kind, told in the ledger.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiInstallation, type Reply, startApi, textOf } from './api-installation.ts';

const holdAll = `package caracal.authz

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["hold-all"],
  "diagnostics": [{"step_up_required": rule, "why": "it moves money"}]}

rule := {"type": "human_approval", "approvers": ["carol"]} if input.resource.identifier == "resource://carols"

rule := "human_approval" if input.resource.identifier != "resource://carols"
`;

let api: ApiInstallation;
let agent: Agent;
let zoneId: string;
let base: string;
let application: { id: string; secret: string };
const tokens: Record<string, string> = {};

beforeAll(async () => {
  api = await startApi();
  const ca = readFileSync(join(api.installation.tlsFolder, 'ca.pem'));
  agent = new Agent({ connect: { ca, servername: 'localhost' } });
  zoneId = await api.zone();
  base = `/v1/zones/${zoneId}/approvals`;
  application = await furnish();
  for (const sub of ['alice', 'carol', application.id]) {
    tokens[sub] = await token({ scope: 'zone', zone_id: zoneId, capability: 'approve', sub });
  }
  tokens['reader'] = await token({ scope: 'zone', zone_id: zoneId, capability: 'read' });
  tokens['writer'] = await token({ scope: 'zone', zone_id: zoneId, capability: 'write' });
});
afterAll(async () => {
  await agent.destroy();
  await api[Symbol.asyncDispose]();
});

async function token(body: object): Promise<string> {
  return textOf(await api.call('POST', '/v1/admin-tokens', { body: { name: 't', ...body } }), 'token');
}

async function furnish(): Promise<{ id: string; secret: string }> {
  const post = async (path: string, body: object): Promise<Reply> => {
    const reply = await api.call('POST', `/v1/zones/${zoneId}/${path}`, { body });
    expect(reply.status, reply.text).toBeLessThan(300);
    return reply;
  };
  const made = await post('applications', { name: 'agent', credential_type: 'token' });
  for (const name of ['pay', 'other', 'carols', ...Array.from({ length: 12 }, (_, at) => `r${at}`)]) {
    await post('resources', { identifier: `resource://${name}`, upstream_url: 'http://192.0.2.1', scopes: ['pay'] });
  }
  const policy = await post('policies', { name: 'hold-all', content: holdAll });
  const { id: versionId } = policy.body['version'] as { id: string };
  const set = textOf(await post('policy-sets', { name: 'set' }), 'id');
  const version = await post(`policy-sets/${set}/versions`, { manifest: [{ policy_version_id: versionId }] });
  await post(`policy-sets/${set}/activate`, { version_id: textOf(version, 'id') });
  return { id: textOf(made, 'id'), secret: textOf(made, 'client_secret') };
}

interface Asked {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function ask(resource: string, more: Readonly<Record<string, string>> = {}): Promise<Asked> {
  const answer = await request(`${api.installation.urls.sts}/oauth/2/token`, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      zone_id: zoneId,
      application_id: application.id,
      client_secret: application.secret,
      resource: `resource://${resource}`,
      ...more,
    }).toString(),
  });
  return { status: answer.statusCode, body: (await answer.body.json()) as Asked['body'] };
}

async function raised(resource: string): Promise<{ id: string; secret: string }> {
  // The policy that was activated a moment ago may still be on its way.
  await expect.poll(async () => (await ask(resource)).body['error'], { timeout: 15_000 }).toBe('interaction_required');
  const { body } = await ask(resource);
  return { id: String(body['challenge_id']), secret: String(body['challenge_secret']) };
}

const as = (name: string, body: object = {}) => ({ token: tokens[name] ?? '', body });

describe('an approval over the API', () => {
  test('tells what will be done, and no secret', async () => {
    const { id, secret } = await raised('pay');
    const read = await api.call('GET', `${base}/${id}`, { token: tokens['reader'] });
    expect(read).toMatchObject({
      status: 200,
      body: {
        id,
        state: 'pending',
        challenge_type: 'human_approval',
        summary: `Application ${application.id}, in its own name, will once get a mandate on resource://pay with pay.`,
        application_id: application.id,
        subject: application.id,
        subject_type: 'application',
        chain: [application.id],
        targets: [{ resource: 'resource://pay', scopes: ['pay'] }],
        operation: { kind: 'token_exchange', use: 'ambient' },
        diagnostics: [{ step_up_required: 'human_approval', why: 'it moves money' }],
      },
    });
    expect(read.text).not.toContain(secret);
    expect(read.text).not.toContain('digests');
    expect((await api.call('GET', `${base}/${id}`, { token: tokens['alice'] })).status).toBe(200);
  });

  test('is decided once, by a named approver alone, and then spent once', async () => {
    const { id, secret } = await raised('pay');
    for (const [name, status] of [
      ['reader', 403],
      ['writer', 403],
      [application.id, 403],
    ] as const) {
      expect(await api.call('POST', `${base}/${id}/approve`, as(name)), name).toMatchObject({
        status,
        body: { error: 'permission_denied' },
      });
    }
    expect((await api.call('POST', `${base}/${id}/approve`)).status).toBe(403);
    const approved = await api.call('POST', `${base}/${id}/approve`, as('alice', { reason: 'invoice 42' }));
    expect(approved).toMatchObject({
      status: 200,
      body: { state: 'approved', decided_by: 'alice', reason: 'invoice 42' },
    });
    for (const verb of ['approve', 'reject']) {
      expect(await api.call('POST', `${base}/${id}/${verb}`, as('carol'))).toMatchObject({
        status: 409,
        body: { error: 'approval_decided' },
      });
    }
    const spending = { challenge_id: id, challenge_response: secret };
    expect((await ask('pay', spending)).status).toBe(200);
    expect((await ask('pay', spending)).status).toBe(401);
    expect((await api.call('GET', `${base}/${id}`)).body).toMatchObject({ state: 'consumed' });
  });

  test('is told in the ledger with who approved it, word by word', async () => {
    const { id } = await raised('other');
    const refused = await api.call('POST', `${base}/${id}/approve`, as(application.id));
    expect(refused.status).toBe(403);
    await api.call('POST', `${base}/${id}/reject`, as('alice', { reason: 'no' }));
    const rows = await api.sql<{ type: string; metadata: Record<string, unknown> }>(
      `SELECT payload ->> 'eventType' AS type, payload -> 'metadata' AS metadata
         FROM (SELECT payload, occurred_at FROM sts.outbox UNION ALL SELECT payload, occurred_at FROM api.outbox) AS o
        WHERE payload -> 'metadata' ->> 'approval_id' = $1 OR payload -> 'metadata' ->> 'entity_id' = $1
        ORDER BY occurred_at`,
      [id],
    );
    const told = rows.map(({ type, metadata }) => [type, metadata['action'] ?? metadata['approver'] ?? '']);
    expect(told).toContainEqual(['approval.requested', '']);
    expect(told).toContainEqual(['approval.rejected', 'alice']);
    expect(told).toContainEqual(['admin.mutation', 'approval.reject']);
    expect(told).toContainEqual(['admin.mutation', 'approval.approve_refused']);
    const tried = rows.find(({ metadata }) => metadata['action'] === 'approval.approve_refused');
    expect(tried?.metadata).toMatchObject({ approver: application.id, cause: 'own_chain' });
    expect(rows.find(({ type }) => type === 'approval.rejected')?.metadata).toMatchObject({ reason: 'no' });
  });

  test('is decided by those alone whom policy names', async () => {
    const { id } = await raised('carols');
    expect(await api.call('POST', `${base}/${id}/reject`, as('alice'))).toMatchObject({ status: 403 });
    expect(await api.call('POST', `${base}/${id}/approve`, as('carol'))).toMatchObject({
      status: 200,
      body: { state: 'approved', approvers: ['carol'] },
    });
  });

  test('is decided by exactly one of many words at once', async () => {
    const { id } = await raised('r0');
    const words = await Promise.all(
      Array.from({ length: 8 }, async (_, at) =>
        api.call('POST', `${base}/${id}/${at % 2 ? 'approve' : 'reject'}`, as(at % 3 ? 'alice' : 'carol')),
      ),
    );
    expect(words.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(words.filter(({ status }) => status === 409)).toHaveLength(7);
  });

  test('is decided once under one idempotency key', async () => {
    const { id } = await raised('r1');
    const word = { ...as('alice', { reason: 'once' }), headers: { 'idempotency-key': `k-${id}` } };
    const first = await api.call('POST', `${base}/${id}/approve`, word);
    const second = await api.call('POST', `${base}/${id}/approve`, word);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.body).toEqual(first.body);
  });

  test('is found under its older name, where what is done or unknown does not exist', async () => {
    const { id } = await raised('r2');
    const path = `/v1/zones/${zoneId}/step-up-challenges/${id}/satisfy`;
    expect((await api.call('POST', path, as('writer'))).status).toBe(403);
    const satisfied = await api.call('POST', path, as('alice'));
    expect(satisfied).toMatchObject({ status: 200, body: { id, satisfied_at: expect.stringMatching(/Z$/) } });
    expect((await api.call('POST', path, as('alice'))).status).toBe(404);
    expect((await api.call('POST', path.replace(id, 'unknown'), as('alice'))).status).toBe(404);
  });

  test('is unknown in another zone, whoever asks', async () => {
    const { id } = await raised('r3');
    const otherId = await api.zone('other');
    const foreign = await token({ scope: 'zone', zone_id: otherId, capability: 'approve', sub: 'alice' });
    const global = await token({ scope: 'global', capability: 'approve', sub: 'alice' });
    expect((await api.call('POST', `${base}/${id}/approve`, { token: foreign, body: {} })).status).toBe(403);
    for (const path of [`/v1/zones/${otherId}/approvals/${id}`, `/v1/zones/${otherId}/approvals/${id}/approve`]) {
      const method = path.endsWith('approve') ? 'POST' : 'GET';
      expect((await api.call(method, path, { token: global, ...(method === 'POST' ? { body: {} } : {}) })).status).toBe(
        404,
      );
    }
    expect((await api.call('POST', `${base}/${id}/approve`, { token: global, body: {} })).status).toBe(200);
  });
});

describe('a list of approvals', () => {
  test('is paged newest first, and filtered by state', async () => {
    const ids: string[] = [];
    for (let at = 4; at < 10; at += 1) ids.push((await raised(`r${at}`)).id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = `?limit=2&state=pending${cursor === null ? '' : `&cursor=${cursor}`}`;
      const page = await api.call('GET', `${base}${query}`, { token: tokens['reader'] });
      expect(page.status).toBe(200);
      const items = page.body['items'] as { id: string; state: string }[];
      expect(items.every(({ state }) => state === 'pending')).toBe(true);
      seen.push(...items.map(({ id }) => id));
      cursor = page.body['next_cursor'] as string | null;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => ids.includes(id))).toEqual(ids.toReversed());
    const approved = await api.call('GET', `${base}?state=approved`, { token: tokens['reader'] });
    expect((approved.body['items'] as { state: string }[]).every(({ state }) => state === 'approved')).toBe(true);
    for (const query of ['state=happy', 'limit=0', 'cursor=x', 'state=']) {
      expect((await api.call('GET', `${base}?${query}`)).status, query).toBe(400);
    }
  });
});

describe('the page on approvals', () => {
  test('shows a policy that is one', async () => {
    const page = readFileSync(new URL('../../../docs/approvals.md', import.meta.url), 'utf8');
    const content = /```rego\n([\s\S]*?)```/.exec(page)?.[1];
    expect((await api.call('POST', `/v1/zones/${zoneId}/policies`, { body: { name: 'page', content } })).status).toBe(
      201,
    );
  });
});

describe('an approver’s token', () => {
  test('names who decides, and nobody else’s token does', async () => {
    const post = (body: object, bearer?: string) =>
      api.call('POST', '/v1/admin-tokens', { body: { name: 't', scope: 'global', ...body }, token: bearer });
    expect((await post({ capability: 'approve' })).status).toBe(400);
    expect((await post({ capability: 'write', sub: 'alice' })).status).toBe(400);
    expect((await post({ capability: 'approve', sub: '' })).status).toBe(400);
    expect((await post({ capability: 'approve', sub: 'x'.repeat(257) })).status).toBe(400);
    expect((await post({ capability: 'approve', sub: 'a\nb' })).status).toBe(400);
    expect(await post({ capability: 'approve', sub: 'dora' })).toMatchObject({ status: 201, body: { sub: 'dora' } });
    expect((await post({ capability: 'approve', sub: 'eve' }, tokens['writer'])).status).toBe(403);
    expect((await post({ capability: 'approve', sub: 'eve' }, tokens['alice'])).status).toBe(403);
  });
});
