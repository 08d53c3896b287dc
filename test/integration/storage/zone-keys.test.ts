// The life of zone keys in the database: windows of signing, the end of leaked keys, and what is erased when its time is over.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { testPostgresServers } from '#test/stack';
import { insufficientPrivilege, plainClient, serviceClient, type PlainClient } from './plain-client.ts';
import { fillZone, type ZoneRows } from './zone-rows.ts';

const jwk = JSON.stringify({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' });
const envelope = Buffer.from('sealed private part');
const rotate = 'SELECT * FROM sts_pub.rotate_zone_key($1, $2, $3, $4, $5, $6)';
const replace = 'SELECT * FROM sts_pub.replace_zone_keys($1, $2, $3, $4, $5)';
const invalidParameter = '22023';
const inUse = '55006';

describe.each(testPostgresServers())('zone keys on Postgres $name', (server) => {
  let database: DisposableDatabase;
  let api: PlainClient;
  let sts: PlainClient;
  let coordinator: PlainClient;
  let administrator: PlainClient;

  beforeAll(async () => {
    database = await disposableDatabase(server);
    [api, sts, coordinator] = [
      await serviceClient(database.urls, 'api'),
      await serviceClient(database.urls, 'sts'),
      await serviceClient(database.urls, 'coordinator'),
    ];
    administrator = await plainClient(database.administratorUrl, 'NONE');
  });
  afterAll(async () => {
    for (const client of [api, sts, coordinator, administrator]) await client[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  const keysOf = (zone: string) =>
    api.run(
      zone,
      'SELECT id, version, state, signs_from, signs_until, retires_at FROM sts_pub.zone_keys ORDER BY version',
    );
  const rotateIn = async (rows: ZoneRows, leadSeconds: number): Promise<string> => {
    const kid = newId();
    await api.run(rows.zone, [rotate, rows.zone, kid, jwk, envelope, leadSeconds, 'a test']);
    return kid;
  };
  const replaceIn = async (rows: ZoneRows): Promise<{ kid: string; number: number }> => {
    const kid = newId();
    const [row] = await api.run(rows.zone, [replace, rows.zone, kid, jwk, envelope, 'leaked']);
    return { kid, number: Number(row?.['revocation']) };
  };
  const eventsOf = (zone: string, type: string) =>
    administrator.run(undefined, [
      `SELECT payload -> 'metadata' AS metadata FROM sts.outbox WHERE zone_id = $1 AND payload ->> 'eventType' = $2
       ORDER BY ordinal`,
      zone,
      type,
    ]);
  const announced = async (zone: string): Promise<number> => {
    const rows = await administrator.run(undefined, [
      "SELECT 1 FROM sts.outbox WHERE zone_id = $1 AND stream = 'caracal.keys.invalidate'",
      zone,
    ]);
    return rows.length;
  };
  const settle = () => sts.run(undefined, 'SELECT sts.settle_ended_keys(100) AS count');

  test('a rotated key is published at once and signs when the one before it stops', async () => {
    const rows = await fillZone(database.urls);
    const before = await announced(rows.zone);
    const kid = await rotateIn(rows, 300);
    const [first, second] = await keysOf(rows.zone);
    expect([first?.['state'], second?.['state'], second?.['id']]).toEqual(['signing', 'published', kid]);
    expect(first?.['signs_until']).toEqual(second?.['signs_from']);
    expect(Number(first?.['retires_at']) - Number(first?.['signs_until'])).toBe(3_660_000);
    expect(Number(second?.['signs_from']) - Date.now()).toBeGreaterThan(200_000);
    expect(await announced(rows.zone)).toBe(before + 1);
    expect(await eventsOf(rows.zone, 'key.rotated')).toMatchObject([
      { metadata: { kid, version: 2, previous_kid: rows.kid, retire_previous: false, reason: 'a test' } },
    ]);
  });

  test('windows of signing follow each other when rotations overlap, whatever their leads', async () => {
    const rows = await fillZone(database.urls);
    await rotateIn(rows, 300);
    await rotateIn(rows, 10);
    await rotateIn(rows, 600);
    const keys = await keysOf(rows.zone);
    expect(keys.map(({ state }) => state)).toEqual(['signing', 'published', 'published', 'published']);
    for (const [at, key] of keys.entries()) {
      const next = keys[at + 1];
      expect(key['signs_until']).toEqual(next?.['signs_from'] ?? null);
      if (next) expect(Number(next['signs_from'])).toBeGreaterThanOrEqual(Number(key['signs_from']));
    }
  });

  test('two rotations at once get two versions', async () => {
    const rows = await fillZone(database.urls);
    await using other = await serviceClient(database.urls, 'api');
    await Promise.all(
      [api, other].map((client) => client.run(rows.zone, [rotate, rows.zone, newId(), jwk, envelope, 60, 'race'])),
    );
    expect((await keysOf(rows.zone)).map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  test('a zone cannot fill its key set by rotations', async () => {
    const rows = await fillZone(database.urls);
    for (let count = 0; count < 12; count += 1) await rotateIn(rows, 60);
    expect(await api.refusal(rows.zone, [rotate, rows.zone, newId(), jwk, envelope, 60, 'more'])).toBe(inUse);
    await replaceIn(rows);
    await rotateIn(rows, 60);
  });

  test('a replaced key set is out of JWKS, erased and refused whatever `rev` says', async () => {
    const rows = await fillZone(database.urls);
    const pending = await rotateIn(rows, 300);
    const { kid, number } = await replaceIn(rows);
    const keys = await keysOf(rows.zone);
    expect(keys.map(({ id, state }) => [id, state])).toEqual([
      [rows.kid, 'retired'],
      [pending, 'retired'],
      [kid, 'signing'],
    ]);
    const sealed = await sts.run(rows.zone, 'SELECT id FROM sts.zone_keys WHERE envelope IS NOT NULL');
    expect(sealed).toEqual([{ id: kid }]);
    expect((await eventsOf(rows.zone, 'key.retired')).map(({ metadata }) => metadata)).toMatchObject([
      { kid: rows.kid, leaked: true, replaced_by: kid },
      { kid: pending, leaked: true, replaced_by: kid },
    ]);
    const refuses = async (rev: number, id: string): Promise<unknown> => {
      const [row] = await coordinator.run(rows.zone, [
        'SELECT sts_pub.refuses($1, $2, $3) AS it',
        rows.zone,
        rev,
        [id],
      ]);
      return row?.['it'];
    };
    for (const id of [rows.kid, pending]) {
      expect([await refuses(0, id), await refuses(number, id)]).toEqual([true, true]);
    }
    expect([await refuses(0, kid), await refuses(number, kid)]).toEqual([false, false]);
  });

  test('a `rev` above the head is refused, because nobody can have applied it', async () => {
    const rows = await fillZone(database.urls);
    const [head] = await api.run(rows.zone, 'SELECT head FROM sts_pub.revocation_head()');
    const refuses = async (rev: number): Promise<unknown> => {
      const [row] = await coordinator.run(rows.zone, [
        'SELECT sts_pub.refuses($1, $2, $3) AS it',
        rows.zone,
        rev,
        [newId()],
      ]);
      return row?.['it'];
    };
    const at = Number(head?.['head']);
    expect([await refuses(at), await refuses(at + 1), await refuses(Number.MAX_SAFE_INTEGER)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  test('a key in use is replaced and never revoked alone', async () => {
    const rows = await fillZone(database.urls);
    const anchors = JSON.stringify([{ kind: 'zone_key', anchor: rows.kid }]);
    const revoke = ['SELECT sts_pub.revoke($1, $2, $3)', rows.zone, anchors, 'by hand'] as const;
    expect(await api.refusal(rows.zone, revoke)).toBe(invalidParameter);
    await replaceIn(rows);
    expect(await api.refusal(rows.zone, revoke)).toBeUndefined();
  });

  test('no zone touches or sees the keys of another, ended ones included', async () => {
    const [mine, theirs] = [await fillZone(database.urls), await fillZone(database.urls)];
    await replaceIn(theirs);
    expect((await keysOf(mine.zone)).map(({ id }) => id)).toEqual([mine.kid]);
    for (const statement of [
      ['SELECT sts_pub.lock_zone_keys($1)', theirs.zone],
      [rotate, theirs.zone, newId(), jwk, envelope, 60, 'foreign'],
      [replace, theirs.zone, newId(), jwk, envelope, 'foreign'],
    ] as const) {
      expect(await api.refusal(mine.zone, statement)).toBe(insufficientPrivilege);
    }
    expect(await api.refusal(mine.zone, 'SELECT envelope FROM sts.zone_keys')).toBe(insufficientPrivilege);
  });

  test('the private part of a key is erased when it signs no more, and its retirement is told once', async () => {
    const rows = await fillZone(database.urls);
    await rotateIn(rows, 60);
    const move = (text: string) =>
      administrator.run(undefined, [`UPDATE sts.zone_keys SET ${text} WHERE id = $1`, rows.kid]);
    await move("signs_from = now() - interval '2 hours', signs_until = now() - interval '10 seconds'");
    await settle();
    const sealedOf = () =>
      sts.run(rows.zone, ['SELECT envelope IS NOT NULL AS sealed FROM sts.zone_keys WHERE id = $1', rows.kid]);
    expect(await sealedOf()).toEqual([{ sealed: true }]);
    await move("signs_until = now() - interval '61 seconds'");
    await settle();
    expect(await sealedOf()).toEqual([{ sealed: false }]);
    expect(await eventsOf(rows.zone, 'key.retired')).toEqual([]);
    await move('retires_at = now()');
    const before = await announced(rows.zone);
    await settle();
    await settle();
    expect(await eventsOf(rows.zone, 'key.retired')).toMatchObject([{ metadata: { kid: rows.kid, leaked: false } }]);
    expect(await announced(rows.zone)).toBe(before + 1);
  });

  test('session records go when nothing alive can name them', async () => {
    const rows = await fillZone(database.urls);
    const insert = (id: string, parent: string | null, age: string) =>
      [
        `INSERT INTO sts.session_records (id, zone_id, root_id, parent_id, application_id, subject, subject_type, expires_at)
       VALUES ($1, $2, $3, $4, $5, 'somebody', 'application', now() - $6::interval)`,
        ...[id, rows.zone, parent ?? id, parent, rows.application, age],
      ] as const;
    const [alive, old, derived, older] = [newId(), newId(), newId(), newId()];
    await sts.run(
      rows.zone,
      insert(alive, null, '3600 seconds'),
      insert(old, null, '3661 seconds'),
      insert(derived, old, '3 days'),
      insert(older, old, '31 days'),
    );
    await sts.run(undefined, 'SELECT sts.purge_session_records(1)');
    await sts.run(undefined, 'SELECT sts.purge_session_records(1000)');
    const left = await sts.run(rows.zone, [
      'SELECT id FROM sts.session_records WHERE id = ANY ($1)',
      [alive, old, derived, older],
    ]);
    expect(new Set(left.map(({ id }) => id))).toEqual(new Set([alive, derived]));
  });

  test('an envelope is replaced only while it is still the one that was opened', async () => {
    const rows = await fillZone(database.urls);
    const [secret] = await sts.run(rows.zone, 'SELECT row_id, envelope FROM api_pub.provider_secrets');
    const reseal = async (zone: string, before: unknown, after: string): Promise<unknown> => {
      const text = 'SELECT api_pub.reseal_provider_secret($1, $2, $3, $4) AS it';
      const [row] = await sts.run(zone, [text, zone, secret?.['row_id'], before, Buffer.from(after)]);
      return row?.['it'];
    };
    const other = await fillZone(database.urls);
    expect(await reseal(other.zone, secret?.['envelope'], 'moved')).toBe(false);
    expect(await reseal(rows.zone, secret?.['envelope'], 'anew')).toBe(true);
    expect(await reseal(rows.zone, secret?.['envelope'], 'late')).toBe(false);
    const [now] = await sts.run(rows.zone, 'SELECT envelope FROM api_pub.provider_secrets');
    expect(now?.['envelope']).toEqual(Buffer.from('anew'));
  });
});
