// Issuers of users and the grants of those users against the real parts: what is stored, refused, recorded and ended.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

let api: ApiInstallation;
let zoneId: string;
let base: string;

beforeAll(async () => {
  api = await startApi();
  zoneId = await api.zone('Acme');
  base = `/v1/zones/${zoneId}`;
});
afterAll(async () => api[Symbol.asyncDispose]());

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  api.call('POST', path, { body, headers });
const patch = (path: string, body: unknown, ifMatch: string): Promise<Reply> =>
  api.call('PATCH', path, { body, headers: { 'if-match': ifMatch } });
const fieldsOf = (reply: Reply): string[] =>
  ((reply.body['details'] as { fields?: { path: string }[] } | undefined)?.fields ?? []).map(({ path }) => path);

let counted = 0;
const provider = (more: object = {}): object => ({
  issuer: `https://login.example/${(counted += 1)}`,
  jwks_url: 'https://login.example/keys',
  audience: 'acme',
  algorithms: ['ES256'],
  ...more,
});

async function world(): Promise<{ issuerId: string; grant: Record<string, unknown>; subject: string }> {
  const issuerId = textOf(await post(`${base}/subject-issuers`, provider()), 'id');
  const applicationId = textOf(await post(`${base}/applications`, { name: 'assistant' }), 'id');
  const resource = {
    identifier: `resource://r${(counted += 1)}`,
    upstream_url: 'http://127.0.0.1:1',
    scopes: ['read', 'write'],
  };
  const resourceId = textOf(await post(`${base}/resources`, resource), 'id');
  const subject = `user:${issuerId}:alice`;
  const grant = { application_id: applicationId, subject, resource_id: resourceId, scopes: ['read', 'write'] };
  return { issuerId, grant, subject };
}

const anchorsOf = async (subject: string): Promise<readonly { kind: string }[]> =>
  api.sql('SELECT kind FROM sts.revocations WHERE zone_id = $1 AND anchor = $2', [zoneId, subject]);
const toldOf = async (kind: string, id: string): Promise<readonly object[]> =>
  api.sql(
    `SELECT number FROM api.outbox WHERE stream = 'caracal.resources.invalidate' AND zone_id = $1
        AND payload::jsonb ->> 'kind' = $2 AND payload::jsonb ->> 'id' = $3`,
    [zoneId, kind, id],
  );

describe('subject issuers', () => {
  test('are registered, read, changed with their version and ended', async () => {
    const body = provider({ claims: { groups: 'groups' }, may_act: 'id_token' });
    const made = await post(`${base}/subject-issuers`, body);
    expect(made).toMatchObject({ status: 201, body: { ...body, version: 1 }, headers: { etag: '"1"' } });
    const one = `${base}/subject-issuers/${textOf(made, 'id')}`;
    expect((await api.call('GET', one)).body).toEqual(made.body);
    const listed = (await api.call('GET', `${base}/subject-issuers`)).body['items'] as { id: string }[];
    expect(listed.map(({ id }) => id)).toContain(textOf(made, 'id'));
    const changed = await patch(one, { audience: 'other', algorithms: ['RS256', 'ES256'] }, '"1"');
    expect(changed).toMatchObject({ status: 200, body: { audience: 'other', version: 2 } });
    expect(await patch(one, { audience: 'x' }, '"1"')).toMatchObject({ status: 412 });
    expect(fieldsOf(await patch(one, { issuer: 'https://other.example' }, '"2"'))).toEqual(['issuer']);
    expect((await api.call('DELETE', one)).status).toBe(204);
    expect((await api.call('GET', one)).status).toBe(404);
    expect(await toldOf('subject_issuer', textOf(made, 'id'))).toHaveLength(3);
  });

  test.each([
    ['a plain address', { issuer: 'http://login.example' }, ['issuer']],
    ['plain keys of another host', { jwks_url: 'http://login.example/keys' }, ['jwks_url']],
    ['user information', { jwks_url: 'https://a:b@login.example/keys' }, ['jwks_url']],
    ['a fragment', { issuer: 'https://login.example/#x' }, ['issuer']],
    ['white space', { issuer: 'https://login .example/' }, ['issuer']],
    ['symmetric signatures', { algorithms: ['HS256'] }, ['algorithms[0]']],
    ['no signature', { algorithms: ['none'] }, ['algorithms[0]']],
    ['no algorithm', { algorithms: [] }, ['algorithms']],
    ['a name no policy can use', { claims: { 'Not A Name': 'x' } }, ['claims.?']],
    ['another source of actors', { may_act: 'request' }, ['may_act']],
    ['what is unknown', { secret: 'x' }, ['secret']],
  ])('are refused with %s', async (_, more, fields) => {
    const refused = await post(`${base}/subject-issuers`, provider(more));
    expect([refused.status, fieldsOf(refused)]).toEqual([400, fields]);
  });

  test('are never this installation itself', async () => {
    const own = api.installation.urls.sts;
    for (const issuer of [own, `${own}/`, own.replace('localhost', 'LOCALHOST')]) {
      expect(fieldsOf(await post(`${base}/subject-issuers`, provider({ issuer })))).toEqual(['issuer']);
    }
  });

  test('are one per name in a zone, and another zone has its own', async () => {
    const body = provider();
    expect((await post(`${base}/subject-issuers`, body)).status).toBe(201);
    expect(await post(`${base}/subject-issuers`, body)).toMatchObject({ status: 409, body: { error: 'conflict' } });
    const other = await api.zone('Other');
    const made = await post(`/v1/zones/${other}/subject-issuers`, body);
    expect(made.status).toBe(201);
    expect((await api.call('GET', `${base}/subject-issuers/${textOf(made, 'id')}`)).status).toBe(404);
  });
});

describe('grants', () => {
  test('are recorded once under a key, listed by whom they concern, and conflict with themselves', async () => {
    const { grant, subject } = await world();
    const key = { 'idempotency-key': 'one' };
    const made = await post(`${base}/grants`, grant, key);
    expect(made).toMatchObject({ status: 201, body: { ...grant, version: 1 } });
    const again = await post(`${base}/grants`, grant, key);
    expect(again).toMatchObject({ status: 201, headers: { 'idempotency-replayed': 'true' }, body: made.body });
    expect(await post(`${base}/grants`, grant)).toMatchObject({ status: 409 });
    for (const filter of ['application_id', 'subject', 'resource_id']) {
      const page = await api.call('GET', `${base}/grants?${filter}=${encodeURIComponent(String(grant[filter]))}`);
      expect(page.body['items'], filter).toEqual([made.body]);
    }
    expect(await toldOf('grant', `${String(grant['application_id'])} ${subject}`)).toHaveLength(1);
  });

  test('are for what exists, at scopes the resource has', async () => {
    const { grant, issuerId } = await world();
    const unknown = '01900000-0000-7000-8000-0000000000ff';
    const refused = async (more: object): Promise<[number, string[]]> => {
      const reply = await post(`${base}/grants`, { ...grant, ...more });
      return [reply.status, fieldsOf(reply)];
    };
    expect(await refused({ scopes: ['read', 'admin'] })).toEqual([400, ['scopes[1]']]);
    expect(await refused({ scopes: [] })).toEqual([400, ['scopes']]);
    expect(await refused({ scopes: ['read', 'read'] })).toEqual([400, ['scopes']]);
    expect(await refused({ application_id: unknown })).toEqual([404, []]);
    expect(await refused({ resource_id: unknown })).toEqual([404, []]);
    expect(await refused({ subject: `user:${unknown}:alice` })).toEqual([404, []]);
    for (const subject of [
      'alice',
      `user:${issuerId}:`,
      `user:${issuerId}: a`,
      `user:${issuerId}:\u202Ea`,
      `user:x:a`,
    ]) {
      expect(await refused({ subject }), JSON.stringify(subject)).toEqual([400, ['subject']]);
    }
  });

  test('end their user when something is taken away, and only then', async () => {
    const { grant, subject } = await world();
    const made = await post(`${base}/grants`, { ...grant, scopes: ['read'] });
    const one = `${base}/grants/${textOf(made, 'id')}`;
    expect((await patch(one, { scopes: ['read', 'write'] }, '"1"')).status).toBe(200);
    expect(await anchorsOf(subject)).toHaveLength(0);
    expect((await patch(one, { expires_at: '2031-01-01T00:00:00Z' }, '"2"')).status).toBe(200);
    expect(await anchorsOf(subject)).toHaveLength(1);
    expect((await patch(one, { expires_at: '2032-01-01T00:00:00Z' }, '"3"')).status).toBe(200);
    expect(await anchorsOf(subject)).toHaveLength(1);
    expect((await patch(one, { scopes: ['write'] }, '"4"')).status).toBe(200);
    expect(await anchorsOf(subject)).toHaveLength(2);
    const ended = await api.call('DELETE', `${one}?wait=applied`);
    expect(ended).toMatchObject({ status: 200, body: { applied: true } });
    expect(await anchorsOf(subject)).toEqual([{ kind: 'subject' }, { kind: 'subject' }, { kind: 'subject' }]);
    expect((await api.call('GET', one)).status).toBe(404);
    expect((await post(`${base}/grants`, grant)).status).toBe(201);
  });

  test('end with their issuer, and so does every user who granted something', async () => {
    const { grant, subject, issuerId } = await world();
    const made = await post(`${base}/grants`, grant);
    const ended = await api.call('DELETE', `${base}/subject-issuers/${issuerId}?wait=applied`);
    expect(ended).toMatchObject({ status: 200, body: { applied: true } });
    expect(await anchorsOf(subject)).toEqual([{ kind: 'subject' }]);
    expect((await api.call('GET', `${base}/grants/${textOf(made, 'id')}`)).status).toBe(404);
    expect((await post(`${base}/grants`, grant)).status).toBe(404);
  });

  test('leave their change in the ledger, without the values', async () => {
    const { grant, subject } = await world();
    const made = await post(`${base}/grants`, grant);
    const [event] = await api.sql<{ metadata: Record<string, unknown> }>(
      `SELECT payload::jsonb -> 'metadata' AS metadata FROM api.outbox
        WHERE zone_id = $1 AND payload::jsonb -> 'metadata' ->> 'entity_id' = $2`,
      [zoneId, textOf(made, 'id')],
    );
    expect(event?.metadata).toMatchObject({
      action: 'grant.create',
      subject,
      fields: ['application_id', 'subject', 'resource_id', 'scopes'],
    });
  });
});
