// Zone keys over the API: rotation, the end of leaked keys, and everything sealed anew under another ZONE_KEK, on real parts.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { createKeyring, open, seal } from '#mesh/secrets';
import { startApi, textOf, type ApiInstallation, type Reply } from './api-installation.ts';

const cleanup = new AsyncDisposableStack();
let api: ApiInstallation;
let agent: Agent;

interface Key {
  readonly id: string;
  readonly version: number;
  readonly state: string;
  readonly signs_from: string;
  readonly signs_until?: string;
}

beforeAll(async () => {
  api = cleanup.use(await startApi({ services: ['sts', 'api', 'audit'] }));
  agent = new Agent({ connect: { ca: readFileSync(join(api.installation.tlsFolder, 'ca.pem')) } });
  cleanup.defer(async () => agent.destroy());
});
afterAll(async () => cleanup.disposeAsync());

const rotate = (zone: string, body?: object, headers: Record<string, string> = {}): Promise<Reply> =>
  api.call('POST', `/v1/zones/${zone}/keys/rotate`, { ...(body === undefined ? {} : { body }), headers });
const keysOf = async (zone: string): Promise<readonly Key[]> =>
  (await api.call('GET', `/v1/zones/${zone}/keys`)).body['items'] as Key[];
const events = async (zone: string, type: string) =>
  api.sql<{ metadata: Record<string, unknown> }>(
    `SELECT payload -> 'metadata' AS metadata FROM sts.outbox
      WHERE zone_id = $1 AND payload ->> 'eventType' = $2 ORDER BY ordinal`,
    [zone, type],
  );

/** The kids of a set, as any verifier reads it. */
async function jwksFrom(url: string): Promise<string[]> {
  const { statusCode, body } = await request(url, { dispatcher: agent });
  expect(statusCode).toBe(200);
  return ((await body.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

describe('a rotation', () => {
  it('publishes the new key at once and lets it sign when every verifier may know it', async () => {
    const zone = await api.zone();
    const [first] = await keysOf(zone);
    expect(first).toMatchObject({ version: 1, state: 'signing' });
    const rotated = await rotate(zone, { reason: 'yearly' });
    expect(rotated).toMatchObject({ status: 201, body: { version: 2, state: 'published' } });
    expect(rotated.headers).toMatchObject({ etag: '"2"', location: `/v1/zones/${zone}/keys` });
    const [newest, before] = await keysOf(zone);
    expect(newest).toMatchObject({ id: rotated.body['id'], state: 'published' });
    expect(before).toMatchObject({ id: first?.id, state: 'signing', signs_until: newest?.signs_from });
    expect(Date.parse(newest?.signs_from ?? '') - Date.now()).toBeGreaterThan(900_000);
    expect(JSON.stringify(await keysOf(zone))).not.toMatch(/envelope|"d"/);
    expect(await events(zone, 'key.rotated')).toMatchObject([{ metadata: { kid: newest?.id, reason: 'yearly' } }]);
  });

  it('is shown at every path where keys are read', async () => {
    const zone = await api.zone();
    const rotated = await rotate(zone);
    const kids = (await keysOf(zone)).map(({ id }) => id);
    for (const path of [
      `/.well-known/jwks.json?zone_id=${zone}`,
      `/zones/${zone}/.well-known/jwks.json`,
      `/v1/zones/${zone}/jwks`,
    ]) {
      await expect.poll(() => jwksFrom(`${api.installation.urls.sts}${path}`)).toEqual(kids);
    }
    expect(kids).toContain(rotated.body['id']);
  });

  it('happens once under one Idempotency-Key, whoever asks again', async () => {
    const zone = await api.zone();
    const key = { 'idempotency-key': 'rotate-once' };
    const [one, other] = [await rotate(zone, { reason: 'a' }, key), await rotate(zone, { reason: 'a' }, key)];
    expect(other).toMatchObject({ status: 201, body: one.body, headers: { 'idempotency-replayed': 'true' } });
    expect(await keysOf(zone)).toHaveLength(2);
    expect(await rotate(zone, { reason: 'b' }, key)).toMatchObject({ status: 409, body: { error: 'conflict' } });
  });

  it('compares the version when it is given one, and never counts two at once as one', async () => {
    const zone = await api.zone();
    expect(await rotate(zone, {}, { 'if-match': '"2"' })).toMatchObject({
      status: 412,
      body: { error: 'version_mismatch' },
    });
    const both = await Promise.all([rotate(zone, {}, { 'if-match': '"1"' }), rotate(zone, {}, { 'if-match': '"1"' })]);
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([201, 412]));
    await Promise.all([rotate(zone), rotate(zone)]);
    expect((await keysOf(zone)).map(({ version }) => version)).toEqual([4, 3, 2, 1]);
  });

  it('is refused when too many keys are in use, until they are retired', async () => {
    const zone = await api.zone();
    for (let count = 1; count < 12; count += 1) expect((await rotate(zone)).status).toBe(201);
    expect(await rotate(zone)).toMatchObject({ status: 409, body: { error: 'conflict' } });
    expect((await rotate(zone, { retire_previous: true })).status).toBe(201);
    expect((await rotate(zone)).status).toBe(201);
  });

  it('of a zone that is not there, or with unknown members, is refused', async () => {
    const zone = await api.zone();
    expect(await rotate('0190a0a0-0000-7000-8000-000000000000')).toMatchObject({ status: 404 });
    expect(await rotate(zone, { retire: true })).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    expect(await rotate(zone, { retire_previous: 'yes' })).toMatchObject({ status: 400 });
    expect(await api.call('POST', `/v1/zones/${zone}/keys/rotate`, { token: '' })).toMatchObject({ status: 401 });
  });

  it('of leaked keys retires all others, waits for every replica, and is evidence', async () => {
    const zone = await api.zone();
    await rotate(zone);
    const before = (await keysOf(zone)).map(({ id }) => id);
    const body = { retire_previous: true, reason: 'found in a log' };
    const replaced = await api.call('POST', `/v1/zones/${zone}/keys/rotate?wait=applied`, { body });
    expect(replaced).toMatchObject({ status: 201, body: { state: 'signing', applied: true, barrier: { points: 1 } } });
    expect(new Set(replaced.body['retired'] as string[])).toEqual(new Set(before));
    expect(replaced.body['revocation_number']).toBeGreaterThanOrEqual(2);
    expect((await keysOf(zone)).map(({ state }) => state)).toEqual(['signing', 'retired', 'retired']);
    expect(await jwksFrom(`${api.installation.urls.sts}/v1/zones/${zone}/jwks`)).toEqual([replaced.body['id']]);
    expect(await events(zone, 'key.retired')).toMatchObject([
      { metadata: { leaked: true, reason: 'found in a log' } },
      { metadata: { leaked: true } },
    ]);
    const mutation = await api.sql<{ metadata: object }>(
      `SELECT payload -> 'metadata' AS metadata FROM api.outbox
        WHERE zone_id = $1 AND payload -> 'metadata' ->> 'action' = 'zone_key.rotate' ORDER BY ordinal DESC LIMIT 1`,
      [zone],
    );
    expect(mutation).toMatchObject([{ metadata: { retire_previous: true, entity_id: replaced.body['id'] } }]);
  });

  it('is the only way to revoke a key', async () => {
    const zone = await api.zone();
    const [key] = await keysOf(zone);
    const anchors = [{ kind: 'zone_key', id: key?.id }];
    const revoked = await api.call('POST', `/v1/zones/${zone}/revocations`, { body: { anchors } });
    expect(revoked).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });
});

describe('another ZONE_KEK', () => {
  const kekOf = () => randomBytes(32).toString('hex');
  const reseal = (options: Parameters<ApiInstallation['call']>[2] = {}) =>
    api.call('POST', '/v1/secrets/reseal', options);

  it('opens what the one before sealed; then everything is sealed anew and that one may go', async () => {
    const zone = await api.zone();
    const provider = await api.call('POST', `/v1/zones/${zone}/providers`, {
      body: { identifier: 'provider://sealed', name: 'sealed', kind: 'bearer_token', secrets: { token: 'a secret' } },
    });
    expect(provider.status).toBe(201);
    const before = api.installation.stack.secrets.zoneKek;
    const after = kekOf();
    const connection = newId();
    const at = (column: string) => ({ table: 'sts.provider_connections', column, rowId: connection });
    const sealed = (column: string) => seal(createKeyring({ current: before }), Buffer.from(column), at(column));
    await api.sql(
      `INSERT INTO sts.provider_connections (id, zone_id, provider_id, access_envelope, refresh_envelope)
       VALUES ($1, $2, $3, $4, $5)`,
      [connection, zone, textOf(provider, 'id'), sealed('access_envelope'), sealed('refresh_envelope')],
    );
    await api.installation.process('sts').stop();
    await api.installation.start('sts', { ZONE_KEK: after, ZONE_KEK_PREVIOUS: before });
    const first = await reseal();
    expect(first).toMatchObject({ status: 200, body: { current: 0, failed: 0, done: true } });
    expect(first.body['resealed']).toBe(first.body['checked']);
    expect(first.body['resealed']).toBeGreaterThanOrEqual(2);
    const lines = await reseal({ headers: { accept: 'application/x-ndjson' } });
    const steps = lines.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(steps.at(-1)).toMatchObject({ resealed: 0, current: first.body['checked'], failed: 0, done: true });
    expect(steps.slice(0, -1).every(({ done }) => done === false)).toBe(true);
    await api.installation.process('sts').stop();
    await api.installation.start('sts', { ZONE_KEK: after });
    expect(await reseal()).toMatchObject({ body: { resealed: 0, failed: 0, current: first.body['checked'] } });
    const [row] = await api.sql<Record<'access_envelope' | 'refresh_envelope', Buffer>>(
      'SELECT access_envelope, refresh_envelope FROM sts.provider_connections WHERE id = $1',
      [connection],
    );
    for (const column of ['access_envelope', 'refresh_envelope'] as const) {
      const plain = open(createKeyring({ current: after }), row?.[column] ?? Buffer.alloc(0), at(column));
      expect(plain.toString('utf8')).toBe(column);
    }
    expect((await rotate(zone)).status).toBe(201);
  });

  it('names what no key opens, in the ledger, and leaves it as it is', async () => {
    const zone = await api.zone();
    const [key] = await keysOf(zone);
    await api.sql('UPDATE sts.zone_keys SET envelope = $2 WHERE id = $1', [key?.id, randomBytes(120)]);
    const result = await reseal({ body: { zone_id: zone } });
    expect(result).toMatchObject({ status: 200, body: { checked: 1, failed: 1, resealed: 0 } });
    await expect
      .poll(async () => (await api.call('GET', `/v1/zones/${zone}/audit?event_type=secret.unopenable`)).text, {
        timeout: 30_000,
      })
      .toContain(key?.id ?? '');
  });

  it('is an administrator’s of the whole installation alone', async () => {
    const zone = await api.zone();
    const token = await api.call('POST', '/v1/admin-tokens', {
      body: { name: 'of a zone', scope: 'zone', zone_id: zone, capability: 'write' },
    });
    const own = textOf(token, 'token');
    expect(await reseal({ token: own })).toMatchObject({ status: 403 });
    expect(await reseal({ token: '' })).toMatchObject({ status: 401 });
    expect(await reseal({ body: { zone_id: '0190a0a0-0000-7000-8000-000000000000' } })).toMatchObject({ status: 404 });
  });
});

describe('another AUDIT_HMAC_KEY', () => {
  it('knows the receipts of the key before, while that one is named', async () => {
    const zone = await api.zone();
    const key = { 'idempotency-key': 'across-keys' };
    const first = await rotate(zone, { reason: 'before' }, key);
    const previous = api.installation.stack.secrets.auditHmacKey;
    const another = { AUDIT_HMAC_KEY: randomBytes(32).toString('hex') };
    await api.installation.process('api').stop();
    await api.installation.start('api', { ...another, AUDIT_HMAC_KEY_PREVIOUS: previous });
    expect(await rotate(zone, { reason: 'before' }, key)).toMatchObject({
      status: 201,
      body: first.body,
      headers: { 'idempotency-replayed': 'true' },
    });
    await api.installation.process('api').stop();
    await api.installation.start('api', another);
    expect(await rotate(zone, { reason: 'before' }, key)).toMatchObject({ status: 409 });
    expect(await keysOf(zone)).toHaveLength(2);
  });
});
