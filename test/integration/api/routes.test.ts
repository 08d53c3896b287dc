// Every route of the control plane against the real parts: what it answers, what it refuses, and what the ledger says.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allowAll, startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

let api: ApiInstallation;
let zoneId: string;
let base: string;

beforeAll(async () => {
  api = await startApi({ services: ['sts', 'coordinator', 'audit', 'api'] });
  zoneId = await api.zone('Acme');
  base = `/v1/zones/${zoneId}`;
});
afterAll(async () => api[Symbol.asyncDispose]());

const post = (path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  api.call('POST', path, { ...(body === undefined ? {} : { body }), headers });
const get = (path: string): Promise<Reply> => api.call('GET', path);
const patch = (path: string, body: unknown, ifMatch?: string): Promise<Reply> =>
  api.call('PATCH', path, { body, ...(ifMatch === undefined ? {} : { headers: { 'if-match': ifMatch } }) });

interface Problem {
  readonly path: string;
}
const fieldsOf = (reply: Reply): string[] =>
  ((reply.body['details'] as { fields?: Problem[] } | undefined)?.fields ?? []).map(({ path }) => path);

/** Polls until the check gives something; the ledger arrives through Redis. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 400; tries += 1) {
    const seen = await look();
    if (seen !== undefined) return seen;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('it never came');
}

describe('zones', () => {
  test('are made with a key, read with an ETag, changed with it and ended', async () => {
    const made = await post('/v1/zones', { name: 'Zürich & Co', org_id: 'org-1', login_flow: 'default' });
    expect(made).toMatchObject({ status: 201, body: { slug: 'zu-rich-co', version: 1 } });
    expect(made.headers).toMatchObject({ etag: '"1"', location: `/v1/zones/${textOf(made, 'id')}` });
    const one = `/v1/zones/${textOf(made, 'id')}`;
    const jwks = await api.sql('SELECT 1 FROM sts.zone_keys WHERE zone_id = $1', [textOf(made, 'id')]);
    expect(jwks).toHaveLength(1);
    const calendar = { time_zone: 'Europe/Zurich', opening_hours: { monday: [[8, 17]] }, closed_dates: ['2026-12-25'] };
    const changed = await patch(one, { calendar, org_id: null }, '"1"');
    expect(changed).toMatchObject({ status: 200, headers: { etag: '"2"' }, body: { calendar } });
    expect(changed.body).not.toHaveProperty('org_id');
    expect(await patch(one, { name: 'x' }, '"1"')).toMatchObject({ status: 412, body: { error: 'version_mismatch' } });
    expect((await api.call('DELETE', one, { headers: { 'if-match': '"1"' } })).status).toBe(412);
    expect((await api.call('DELETE', `${one}?wait=applied`)).body).toMatchObject({ applied: true });
    expect(await get(one)).toMatchObject({ status: 404, body: { error: 'not_found' } });
  });

  test('are refused with the field that is wrong', async () => {
    expect(fieldsOf(await post('/v1/zones', { name: '' }))).toEqual(['name']);
    expect(fieldsOf(await post('/v1/zones', {}))).toEqual(['name']);
    expect(fieldsOf(await post('/v1/zones', { name: 'x', slug: 'Not A Slug' }))).toEqual(['slug']);
    expect(fieldsOf(await post('/v1/zones', { name: 'x', unknown: 1 }))).toEqual(['unknown']);
    expect(fieldsOf(await post('/v1/zones', { name: 'x', dcr_enabled: 'true' }))).toEqual(['dcr_enabled']);
    expect(fieldsOf(await post('/v1/zones', { name: 'x', calendar: { time_zone: 'No/Where' } }))).toEqual([
      'calendar.time_zone',
    ]);
    expect(await post('/v1/zones', { name: 'x', slug: 'acme' })).toMatchObject({ status: 409 });
  });

  test('need the version on every change, and say so', async () => {
    const refused = await patch(base, { name: 'x' });
    expect(refused).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect(String(refused.body['error_description'])).toContain('If-Match');
    expect((await patch(base, { name: 'x' }, 'nonsense')).status).toBe(400);
    expect((await patch(base, {}, '*')).status).toBe(400);
  });
});

describe('applications', () => {
  test('get a secret that the answer alone carries and the store keeps as Argon2id', async () => {
    const made = await post(`${base}/applications`, { name: 'app', traits: ['role:reader'], labels: { team: 'a' } });
    expect(made).toMatchObject({ status: 201, body: { credential_type: 'token', consent: 'implicit', version: 1 } });
    expect(textOf(made, 'client_secret')).toMatch(/^csk_[A-Za-z0-9_-]{54}$/);
    const one = `${base}/applications/${textOf(made, 'id')}`;
    expect((await get(one)).body).not.toHaveProperty('client_secret');
    const [row] = await api.sql<{ secret_hash: string }>('SELECT secret_hash FROM api.applications WHERE id = $1', [
      textOf(made, 'id'),
    ]);
    expect(row?.secret_hash).toMatch(/^argon2id\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    const rotated = await post(`${one}/rotate-secret`);
    expect(rotated).toMatchObject({ status: 200, body: { version: 2 } });
    expect(textOf(rotated, 'client_secret')).not.toBe(textOf(made, 'client_secret'));
    expect(await patch(one, { consent: true, expires_at: '2031-01-01T00:00:00+01:00' }, '"2"')).toMatchObject({
      body: { consent: 'required', expires_at: '2030-12-31T23:00:00.000000Z' },
    });
    expect(await patch(one, { expires_at: null }, '"3"')).toMatchObject({ status: 200 });
    expect((await api.call('DELETE', one)).status).toBe(204);
    expect((await get(one)).status).toBe(404);
    expect((await post(`${one}/rotate-secret`)).status).toBe(404);
  });

  test('take no secret, no unknown credential and no dynamic registration from here', async () => {
    expect(fieldsOf(await post(`${base}/applications`, { name: 'x', client_secret: 'mine' }))).toEqual([
      'client_secret',
    ]);
    for (const credential_type of ['url', 'password', 'nonsense'])
      expect(fieldsOf(await post(`${base}/applications`, { name: 'x', credential_type }))).toEqual(['credential_type']);
    expect(fieldsOf(await post(`${base}/applications`, { name: 'x', registration_method: 'dcr' }))).toEqual([
      'registration_method',
    ]);
    expect((await post(`${base}/applications`, { name: 'x', expires_at: '2026-02-30T00:00:00Z' })).status).toBe(400);
  });

  test('without a credential have no secret to rotate', async () => {
    const made = await post(`${base}/applications`, { name: 'open', credential_type: 'public' });
    expect(made.body).not.toHaveProperty('client_secret');
    expect((await post(`${base}/applications/${textOf(made, 'id')}/rotate-secret`)).status).toBe(409);
  });
});

describe('providers', () => {
  const canary = 'planted-canary-1f0e';

  test('seal their secrets and never give them back', async () => {
    const body = { identifier: 'api', kind: 'api_key', config: { header_name: 'x-key' }, secrets: { api_key: canary } };
    const made = await post(`${base}/providers`, body);
    expect(made).toMatchObject({ status: 201, body: { secret_names: ['api_key'], config: { header_name: 'x-key' } } });
    const one = `${base}/providers/${textOf(made, 'id')}`;
    const envelope = async () => {
      const [row] = await api.sql<{ envelope: Buffer; row_id: string }>(
        'SELECT envelope, row_id FROM api.provider_secrets WHERE provider_id = $1',
        [textOf(made, 'id')],
      );
      return row;
    };
    const before = await envelope();
    expect((await patch(one, { config: {} }, '"1"')).body).toMatchObject({ secret_names: ['api_key'], config: {} });
    expect(await envelope()).toEqual(before);
    await patch(one, { secrets: { api_key: `${canary}-2` } }, '"2"');
    expect((await envelope())?.row_id).not.toBe(before?.row_id);
    for (const text of [made.text, (await get(one)).text, (await get(`${base}/providers`)).text])
      expect(text).not.toContain(canary);
    expect(api.installation.process('api').log()).not.toContain(canary);
    const told = await api.sql<{ text: string }>('SELECT payload::text AS text FROM api.outbox');
    expect(told.map(({ text }) => text).join()).not.toContain(canary);
  });

  test('of unknown kinds are refused in words', async () => {
    const refused = await post(`${base}/providers`, { identifier: 'o', kind: 'workload' });
    expect(refused).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect(String(refused.body['error_description'])).toContain('oauth2_authorization_code');
  });

  test('of OAuth servers take closed settings, and the secret that their client is proven with', async () => {
    const kind = 'oauth2_client_credentials';
    const config = { token_url: 'https://idp.test/token', client_id: 'us' };
    const make = (body: object) => post(`${base}/providers`, { identifier: 'idp', kind, ...body });
    expect(fieldsOf(await make({ config: {}, secrets: { client_secret: 's' } }))).toEqual(['config.token_url']);
    expect(fieldsOf(await make({ config }))).toEqual(['secrets.client_secret']);
    expect(fieldsOf(await make({ config: { ...config, redirect_uris: [] } }))).toEqual(['config.redirect_uris']);
    expect(fieldsOf(await make({ config: { ...config, client_authentication: 'magic' } }))).toEqual([
      'config.client_authentication',
    ]);
    const made = await make({ config, secrets: { client_secret: 's' } });
    expect(made).toMatchObject({ status: 201, body: { config, secret_names: ['client_secret'] } });
    const one = `${base}/providers/${textOf(made, 'id')}`;
    const keyed = { config: { ...config, client_authentication: 'private_key_jwt' } };
    expect(fieldsOf(await patch(one, keyed, '"1"'))).toEqual(['secrets.private_key']);
    const moved = { config: { ...config, token_url: 'https://evil.test/token' } };
    expect(fieldsOf(await patch(one, moved, '"1"'))).toEqual(['secrets.client_secret']);
    const open = { config: { ...config, client_authentication: 'none' } };
    expect(await patch(one, open, '"1"')).toMatchObject({ status: 200, body: { secret_names: ['client_secret'] } });
  });

  test('take the settings of their kind and no others', async () => {
    const make = (body: object) => post(`${base}/providers`, { identifier: 'p', ...body });
    expect(fieldsOf(await make({ kind: 'none', config: { header_name: 'x' } }))).toEqual(['config.header_name']);
    expect(fieldsOf(await make({ kind: 'api_key', config: {} }))).toEqual(['secrets.api_key']);
    expect(fieldsOf(await make({ kind: 'none', secrets: { token: 'x' } }))).toEqual(['secrets']);
    const host = { kind: 'bearer_token', config: { header_name: 'host' }, secrets: { token: 'x' } };
    expect(fieldsOf(await make(host))).toEqual(['config.header_name']);
  });

  test('stay while a resource uses them', async () => {
    const made = await post(`${base}/providers`, { identifier: 'used', kind: 'none' });
    const resource = { identifier: 'resource://used', upstream_url: 'http://u.test', scopes: ['a'] };
    const user = await post(`${base}/resources`, { ...resource, provider_id: textOf(made, 'id') });
    expect((await api.call('DELETE', `${base}/providers/${textOf(made, 'id')}`)).status).toBe(409);
    expect((await patch(`${base}/resources/${textOf(user, 'id')}`, { provider_id: null }, '"1"')).status).toBe(200);
    expect((await api.call('DELETE', `${base}/providers/${textOf(made, 'id')}`)).status).toBe(204);
  });
});

describe('resources', () => {
  test('are made, changed and ended; their names are free again afterwards', async () => {
    const body = {
      identifier: 'resource://calendar',
      upstream_url: 'https://calendar.test/v1',
      scopes: ['calendar:read', 'calendar:write'],
      operations: [{ method: 'GET', path: '/events/**', scope: 'calendar:read' }],
      operation_enforcement: true,
      rate_limit_per_min: 60,
    };
    const made = await post(`${base}/resources`, body);
    expect(made).toMatchObject({ status: 201, body: { ...body, slug: 'resource-calendar', kind: 'http' } });
    const one = `${base}/resources/${textOf(made, 'id')}`;
    expect(await post(`${base}/resources`, body)).toMatchObject({ status: 409, body: { error: 'conflict' } });
    expect((await patch(one, { rate_limit_per_min: null, operations: [] }, '"1"')).body).toMatchObject({
      version: 2,
      operations: [],
    });
    expect(fieldsOf(await patch(one, { upstream_url: 'ftp://x.test/' }, '"2"'))).toEqual(['upstream_url']);
    expect((await api.call('DELETE', one)).status).toBe(204);
    expect((await post(`${base}/resources`, body)).status).toBe(201);
  });

  test('of kinds that do not work yet, and rules that cannot hold, are refused', async () => {
    const body = { identifier: 'r', upstream_url: 'https://r.test', scopes: ['a'] };
    expect(fieldsOf(await post(`${base}/resources`, { ...body, kind: 'mcp' }))).toEqual(['kind']);
    expect(fieldsOf(await post(`${base}/resources`, { ...body, scopes: [] }))).toEqual(['scopes']);
    expect((await post(`${base}/resources`, { ...body, provider_id: 'nobody' })).status).toBe(404);
    const operations = [{ method: 'GET', path: '/../x', scope: 'a' }];
    expect(fieldsOf(await post(`${base}/resources`, { ...body, operations }))).toEqual(['operations[0].path']);
  });
});

describe('policies and what a zone enforces', () => {
  test('go from source to enforcement and back', async () => {
    const made = await post(`${base}/policies`, { name: 'allow', content: allowAll, description: 'all' });
    expect(made).toMatchObject({ status: 201, body: { version: { version: 1 } } });
    const one = `${base}/policies/${textOf(made, 'id')}`;
    const { id: versionId } = made.body['version'] as { id: string };
    expect(await post(`${one}/versions`, { content: allowAll })).toMatchObject({
      status: 200,
      body: { id: versionId },
    });
    expect(await post(`${one}/versions`, { content: `${allowAll}\n` })).toMatchObject({
      status: 201,
      body: { version: 2 },
    });
    expect((await get(`${one}/versions/${versionId}`)).body).toMatchObject({ content: allowAll });
    expect((await get(`${one}/versions`)).body['items']).toHaveLength(2);
    expect((await get(one)).body).toMatchObject({ latest_version: 2 });

    const set = await post(`${base}/policy-sets`, { name: 'main' });
    const sets = `${base}/policy-sets/${textOf(set, 'id')}`;
    const manifest = [{ policy_version_id: versionId }];
    const first = await post(`${sets}/versions`, { manifest, params: { limit: 3 } });
    expect(first).toMatchObject({ status: 201, body: { version: 1, params: { limit: 3 }, active: false } });
    const second = await post(`${sets}/versions`, { manifest });
    expect((await get(`${sets}/versions/${textOf(first, 'id')}`)).body).toMatchObject({ manifest });
    expect((await get(`${sets}/versions`)).body['items']).toHaveLength(2);

    const activate = (id: string) => post(`${sets}/activate`, { version_id: id });
    const activated = await activate(textOf(first, 'id'));
    expect(activated).toMatchObject({ status: 202, body: { activated: true, version_id: textOf(first, 'id') } });
    await until(async () =>
      (await get(textOf(activated, 'status_url'))).body['propagated'] === true ? true : undefined,
    );
    await activate(textOf(second, 'id'));
    expect((await post(`${sets}/rollback`)).body).toMatchObject({ version_id: textOf(first, 'id') });
    expect((await get(sets)).body).toMatchObject({ active_version_id: textOf(first, 'id') });
    expect(await patch(sets, { description: 'x' }, '"1"')).toMatchObject({ status: 200 });
    const enforced = await api.sql('SELECT 1 FROM api.policy_set_versions WHERE zone_id = $1 AND active', [zoneId]);
    expect(enforced).toHaveLength(1);
    expect((await post(`${sets}/deactivate`)).status).toBe(204);
    expect((await post(`${sets}/deactivate`)).status).toBe(409);
    await until(async () => {
      const { propagated, active_version_id: active } = (await get(`${sets}/activation-status`)).body;
      return propagated === true && active === undefined ? true : undefined;
    });
    expect((await api.call('DELETE', sets)).status).toBe(204);
    expect((await activate(textOf(first, 'id'))).status).toBe(404);
    expect((await api.call('DELETE', one)).status).toBe(204);
  });

  test('are refused with line and column when they do not compile', async () => {
    const content = 'package caracal.authz\n\nresult := http.send({})\n';
    const refused = await post(`${base}/policies`, { name: 'bad', content });
    expect(refused).toMatchObject({ status: 422, body: { error: 'policy_invalid' } });
    const problem = { line: 3, column: 11, code: 'forbidden_builtin' };
    expect(refused.body['details']).toMatchObject({ problems: [problem] });
    const wrong = await post(`${base}/policies`, { name: 'bad', content: 'package other\n' });
    expect(wrong.status).toBe(422);
  });

  test('take only versions of their own zone', async () => {
    const other = await api.zone('Other');
    const foreign = await post(`/v1/zones/${other}/policies`, { name: 'p', content: allowAll });
    const set = await post(`${base}/policy-sets`, { name: 'foreign' });
    const { id } = foreign.body['version'] as { id: string };
    const refused = await post(`${base}/policy-sets/${textOf(set, 'id')}/versions`, {
      manifest: [{ policy_version_id: id }],
    });
    expect(fieldsOf(refused)).toEqual(['manifest[0].policy_version_id']);
    expect((await post(`${base}/policy-sets/${textOf(set, 'id')}/activate`, { version_id: id })).status).toBe(404);
  });

  test('begin from templates that compile and allow nothing without data', async () => {
    const templates = (await get('/v1/policy-templates')).body['items'] as { id: string; content: string }[];
    expect(templates.map(({ id }) => id)).toEqual([
      ...['role-based', 'attribute-based', 'per-resource-scopes', 'delegation-bounded', 'per-tool'],
      ...['step-up-by-scope', 'business-hours', 'read-only-by-default'],
    ]);
    for (const { id, content } of templates)
      expect((await post(`${base}/policies`, { name: id, content })).status, id).toBe(201);
  });
});

describe('revocations', () => {
  test('write anchors, count on, and wait for every point', async () => {
    const anchors = [
      { kind: 'subject', id: 'user:x:y' },
      { kind: 'zone', id: zoneId },
    ];
    const done = await post(`${base}/revocations?wait=applied`, { anchors, reason: 'drill' });
    expect(done).toMatchObject({ status: 201, body: { anchor_count: 2, applied: true, barrier: { applied: true } } });
    const next = await post(`${base}/revocations`, { anchors });
    expect(next.body['revocation_number']).toBe((done.body['revocation_number'] as number) + 2);
    expect(next.body).not.toHaveProperty('barrier');
  });

  test('answer 504 with the points that are missing, and stand', async () => {
    await api.sql(`INSERT INTO sts.enforcement_points (id, service, replica) VALUES ('silent', 'gateway', 'silent')`);
    const anchors = [{ kind: 'jti', id: 'some-jti' }];
    const late = await post(`${base}/revocations?wait=applied&timeout_ms=50`, { anchors });
    await api.sql(`UPDATE sts.enforcement_points SET gone_at = clock_timestamp() WHERE id = 'silent'`);
    expect(late).toMatchObject({ status: 504, body: { error: 'barrier_timeout' } });
    expect(late.body['details']).toMatchObject({ missing: expect.arrayContaining(['gateway/silent']) });
    const written = await api.sql(`SELECT 1 FROM sts.revocations WHERE anchor = 'some-jti'`);
    expect(written).toHaveLength(1);
  });

  test('refuse anchors that would hit nothing', async () => {
    const send = (anchor: object) => post(`${base}/revocations`, { anchors: [anchor] });
    expect(fieldsOf(await send({ kind: 'zone', id: 'other' }))).toEqual(['anchors[0].id']);
    expect(fieldsOf(await send({ kind: 'everything', id: 'x' }))).toEqual(['anchors[0].kind']);
    expect(fieldsOf(await post(`${base}/revocations`, { anchors: [] }))).toEqual(['anchors']);
  });
});

describe('agent sessions', () => {
  test('are read and ended through the Coordinator', async () => {
    expect((await get(`${base}/agent-sessions?state=active`)).body).toEqual({ items: [], next_cursor: null });
    expect((await get(`${base}/agent-sessions/nobody`)).status).toBe(404);
    expect((await post(`${base}/agent-sessions/nobody/end?wait=applied`)).status).toBe(404);
    expect(fieldsOf(await get(`${base}/agent-sessions?cursor=junk`))).toEqual(['cursor']);
  });
});

describe('the ledger', () => {
  test('has every change under the request that made it, with names of fields and no values', async () => {
    const requestId = `made-${zoneId}`;
    const body = { name: 'a very private name', traits: ['t'] };
    await post(`${base}/applications`, body, { 'x-request-id': requestId });
    const found = await until(async () => {
      const reply = await get(`${base}/audit/by-request/${requestId}`);
      return reply.status === 200 ? reply : undefined;
    });
    const [event] = found.body['items'] as [Record<string, unknown>];
    expect(event).toMatchObject({
      event_type: 'admin.mutation',
      request_id: requestId,
      producer: 'api/outbox',
      metadata: { action: 'application.create', actor_name: 'bootstrap', fields: ['name', 'traits'] },
    });
    expect(found.text).not.toContain('private');
    const search = await get(`${base}/audit?event_type=admin.mutation&request_id=${requestId}&limit=1`);
    expect(search.body['items']).toHaveLength(1);
    expect((await get(`${base}/audit/by-request/nobody`)).status).toBe(404);
  });

  test('verifies, whole or line by line', async () => {
    await until(async () =>
      ((await get(`${base}/audit?limit=1`)).body['items'] as unknown[]).length > 0 ? true : undefined,
    );
    expect((await get(`${base}/audit/verify`)).body).toMatchObject({ verified: true, findings: [], done: true });
    const streamed = await api.call('POST', `${base}/audit/verify`, { headers: { accept: 'application/x-ndjson' } });
    expect(streamed.headers['content-type']).toContain('application/x-ndjson');
    const lines = streamed.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { done: boolean });
    expect(lines.at(-1)).toMatchObject({ done: true, finding_count: 0 });
  });

  test('is paged to the end without a gap', async () => {
    const seen: number[] = [];
    let cursor = '';
    do {
      const page = await get(`${base}/audit?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`);
      expect(page.status).toBe(200);
      seen.push(...(page.body['items'] as { seq: number }[]).map(({ seq }) => seq));
      cursor = (page.body['next_cursor'] as string | null) ?? '';
    } while (cursor !== '');
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeGreaterThan(7);
  });

  test('refuses questions nobody can answer', async () => {
    expect(fieldsOf(await get(`${base}/audit?since=0000-01-01T00:00:00Z`))).toEqual(['since']);
    expect(fieldsOf(await get(`${base}/audit?until=2026-13-01T00:00:00Z`))).toEqual(['until']);
    expect(fieldsOf(await get(`${base}/audit?cursor=junk`))).toEqual(['cursor']);
    expect(fieldsOf(await get(`${base}/audit?decision=maybe`))).toEqual(['decision']);
  });
});

describe('the description', () => {
  test('names every route with what it takes and gives', async () => {
    const document = (await api.call('GET', '/openapi.json', { token: '' })).body;
    expect(document).toMatchObject({ openapi: '3.1.0' });
    const paths = document['paths'] as Record<string, Record<string, { responses: object; security: object[] }>>;
    expect(Object.keys(paths).length).toBeGreaterThan(30);
    for (const [path, methods] of Object.entries(paths)) {
      expect(path.startsWith('/v1/')).toBe(true);
      for (const operation of Object.values(methods)) expect(operation.security, path).toEqual([{ adminToken: [] }]);
    }
    expect((await api.call('GET', '/docs/', { token: '' })).status).toBe(200);
  });
});
