// Many at once: versions, names, keys, numbering and activation, each won by exactly one; and pages that lose no row.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allowAll, startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

const width = 12;
/** What needs the policy engine has a share per zone there; more at once are told to come later. */
const compiled = 3;
let api: ApiInstallation;
let base: string;

beforeAll(async () => {
  api = await startApi({ services: ['sts', 'api'] });
  base = `/v1/zones/${await api.zone('Races')}`;
});
afterAll(async () => api[Symbol.asyncDispose]());

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  api.call('POST', path, { body, headers });
const many = <T>(work: (at: number) => Promise<T>, calls = width): Promise<T[]> =>
  Promise.all(Array.from({ length: calls }, (_, at) => work(at)));
const statuses = (replies: readonly Reply[]): number[] => replies.map(({ status }) => status).toSorted((a, b) => a - b);
const onceThen = (won: number, lost: number, calls = width): number[] =>
  [won, ...Array.from({ length: calls - 1 }, () => lost)].toSorted((a, b) => a - b);

describe('of changes at the same time', () => {
  test('one version wins and the others are told', async () => {
    const made = await post(`${base}/applications`, { name: 'contested' });
    const one = `${base}/applications/${textOf(made, 'id')}`;
    const replies = await many((at) =>
      api.call('PATCH', one, { body: { name: `n${at}` }, headers: { 'if-match': '"1"' } }),
    );
    expect(statuses(replies)).toEqual(onceThen(200, 412));
    expect((await api.call('GET', one)).body['version']).toBe(2);
  });

  test('one taker of a slug wins, and derived slugs all find one', async () => {
    expect(statuses(await many(() => post('/v1/zones', { name: 'x', slug: 'contested' })))).toEqual(onceThen(201, 409));
    const derived = await many(() => post('/v1/zones', { name: 'Same Name' }));
    expect(new Set(derived.map((reply) => textOf(reply, 'slug'))).size).toBe(width);
    const resources = await many((at) =>
      post(`${base}/resources`, {
        identifier: `r://${at}`,
        name: 'Same',
        upstream_url: 'http://r.test',
        scopes: ['a'],
      }),
    );
    expect(new Set(resources.map((reply) => textOf(reply, 'slug'))).size).toBe(width);
  });

  test('one taker of a name wins', async () => {
    const resource = { identifier: 'contested', upstream_url: 'http://r.test', scopes: ['a'] };
    expect(statuses(await many(() => post(`${base}/resources`, resource)))).toEqual(onceThen(201, 409));
    const provider = { identifier: 'contested', kind: 'none' };
    expect(statuses(await many(() => post(`${base}/providers`, provider)))).toEqual(onceThen(201, 409));
    expect(statuses(await many(() => post(`${base}/policy-sets`, { name: 'contested' })))).toEqual(onceThen(201, 409));
  });

  test('versions of a policy are numbered without gap or double', async () => {
    const made = await post(`${base}/policies`, { name: 'numbered', content: allowAll });
    const versions = `${base}/policies/${textOf(made, 'id')}/versions`;
    const added = await many((at) => post(versions, { content: `${allowAll}# ${at}\n` }), compiled);
    expect(added.map((reply) => Number(reply.body['version'])).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: compiled }, (_, at) => at + 2),
    );
    const same = await many(() => post(versions, { content: `${allowAll}# same\n` }), compiled);
    expect(statuses(same)).toEqual(onceThen(201, 200, compiled));
    expect(new Set(same.map((reply) => textOf(reply, 'id'))).size).toBe(1);
  });

  test('activations leave exactly one version active', async () => {
    const policy = await post(`${base}/policies`, { name: 'active', content: allowAll });
    const manifest = [{ policy_version_id: (policy.body['version'] as { id: string }).id }];
    const wishes = await many(async (at) => {
      const set = `${base}/policy-sets/${textOf(await post(`${base}/policy-sets`, { name: `set ${at}` }), 'id')}`;
      return { set, version: textOf(await post(`${set}/versions`, { manifest }), 'id') };
    }, compiled);
    const replies = await Promise.all(wishes.map((wish) => post(`${wish.set}/activate`, { version_id: wish.version })));
    expect(new Set(statuses(replies))).toEqual(new Set([202]));
    const active = await api.sql(`SELECT 1 FROM api.policy_set_versions WHERE zone_id = $1 AND active`, [
      base.split('/').at(-1),
    ]);
    expect(active).toHaveLength(1);
    const numbers = await api.sql<{ number: string }>(
      `SELECT number FROM api.outbox WHERE stream = 'caracal.policy.invalidate' ORDER BY number`,
    );
    expect(numbers.map(({ number }) => Number(number))).toEqual(numbers.map((_, at) => at + 1));
  });

  test('ending and using a zone never leaves something in an ended zone', async () => {
    const zone = `/v1/zones/${await api.zone('Ending')}`;
    const [ended, ...made] = await Promise.all([
      api.call('DELETE', zone),
      ...Array.from({ length: width }, (_, at) => post(`${zone}/policy-sets`, { name: `s${at}` })),
    ]);
    expect(ended.status).toBe(204);
    for (const reply of made) expect([201, 404]).toContain(reply.status);
    const late = await api.sql(
      `SELECT 1 FROM api.policy_sets s JOIN api.zones z ON z.id = s.zone_id WHERE s.created_at > z.archived_at`,
    );
    expect(late).toHaveLength(0);
  });
});

describe('an idempotency key', () => {
  test('makes one thing of many calls, and shows its secret once', async () => {
    const key = { 'idempotency-key': 'same-application' };
    const replies = await many(() => post(`${base}/applications`, { name: 'once' }, key));
    expect(new Set(statuses(replies))).toEqual(new Set([201]));
    expect(new Set(replies.map((reply) => textOf(reply, 'id'))).size).toBe(1);
    expect(replies.filter((reply) => reply.body['client_secret'] !== undefined)).toHaveLength(1);
    expect(replies.filter((reply) => reply.headers['idempotency-replayed'] === 'true')).toHaveLength(width - 1);
    const rows = await api.sql(`SELECT 1 FROM api.applications WHERE name = 'once'`);
    expect(rows).toHaveLength(1);
  });

  test('makes one zone of many calls', async () => {
    const key = { 'idempotency-key': 'same-zone' };
    const replies = await many(() => post('/v1/zones', { name: 'Once Only' }, key));
    expect(new Set(replies.map((reply) => textOf(reply, 'id'))).size).toBe(1);
    expect(await api.sql(`SELECT 1 FROM api.zones WHERE name = 'Once Only'`)).toHaveLength(1);
  });

  test('is a conflict for another body, another path, and not for another route or admin', async () => {
    const key = { 'idempotency-key': 'k-1' };
    expect((await post(`${base}/applications`, { name: 'a' }, key)).status).toBe(201);
    expect((await post(`${base}/applications`, { name: 'b' }, key)).status).toBe(409);
    expect((await post(`${base}/policy-sets`, { name: 'a' }, key)).status).toBe(201);
    const token = textOf(await post('/v1/admin-tokens', { name: 't', scope: 'global', capability: 'write' }), 'token');
    const other = await api.call('POST', `${base}/applications`, { token, body: { name: 'b' }, headers: key });
    expect(other.status).toBe(201);
  });

  test('remembers no failure: the next try may succeed', async () => {
    const key = { 'idempotency-key': 'k-2' };
    const set = { name: 'taken later' };
    const first = await post(`${base}/policy-sets`, set);
    expect((await post(`${base}/policy-sets`, set, key)).status).toBe(409);
    await api.call('DELETE', `${base}/policy-sets/${textOf(first, 'id')}`);
    expect((await post(`${base}/policy-sets`, set, key)).status).toBe(201);
  });

  test('is kept a day', async () => {
    const key = { 'idempotency-key': 'k-3' };
    const first = await post(`${base}/applications`, { name: 'day' }, key);
    await api.sql(`UPDATE api.idempotency_receipts SET created_at = created_at - interval '25 hours'`);
    const later = await post(`${base}/applications`, { name: 'day' }, key);
    expect(textOf(later, 'id')).not.toBe(textOf(first, 'id'));
  });

  test.each(['', 'two words', 'x'.repeat(256), 'é'])('may not be %j', async (key) => {
    const reply = await post(`${base}/applications`, { name: 'a' }, { 'idempotency-key': key });
    expect(reply.status).toBe(400);
  });
});

describe('pages', () => {
  test('lose no row whose time differs by microseconds, or not at all', async () => {
    const zone = await api.zone('Pages');
    const ids: string[] = [];
    for (let at = 0; at < 25; at += 1) {
      const made = await post(`/v1/zones/${zone}/policy-sets`, { name: `s${at}` });
      ids.push(textOf(made, 'id'));
    }
    // Five different microseconds within one millisecond.
    await api.sql(
      `UPDATE api.policy_sets SET created_at = '2026-01-01T00:00:00.123Z'::timestamptz
         + make_interval(secs => (array_position($1::text[], id) % 5) / 1000000.0)
       WHERE zone_id = $2`,
      [ids, zone],
    );
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query = `limit=3${cursor === null ? '' : `&cursor=${cursor}`}`;
      const page: Reply = await api.call('GET', `/v1/zones/${zone}/policy-sets?${query}`);
      seen.push(...(page.body['items'] as { id: string }[]).map(({ id }) => id));
      cursor = page.body['next_cursor'] as string | null;
    } while (cursor !== null);
    expect(seen).toHaveLength(25);
    expect(new Set(seen)).toEqual(new Set(ids));
  });

  test('refuse cursors that no page has given', async () => {
    const at = (text: string): string => Buffer.from(text).toString('base64url');
    const id = '01a20031-0f6f-7668-8877-035a8a20e9a6';
    const cursors = [
      ...['x', '%00', at('2026-02-30T00:00:00.000000Z x'), at('9999-99-99T99:99:99.999999Z x'), at(`now ${id}`)],
      ...[at(`2026-01-01T00:00:00.000Z ${id}`), at(`2026-01-01T00:00:00.000000Z ${id} x`), at("' OR 1=1 --")],
    ];
    for (const cursor of cursors)
      for (const path of ['/v1/zones', '/v1/admin-tokens', `${base}/applications`])
        expect((await api.call('GET', `${path}?cursor=${cursor}`)).status, `${path} ${cursor}`).toBe(400);
    for (const limit of ['0', '501', '-1', '1.5', 'x', ''])
      expect((await api.call('GET', `/v1/zones?limit=${limit}`)).status, limit).toBe(400);
  });
});
