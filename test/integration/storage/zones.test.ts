// What each service sees and changes of a zone's rows under its real login, and what it does not.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { services } from '#mesh/topology';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { testPostgresServers } from '#test/stack';
import { insufficientPrivilege, loaderClient, plainClient, serviceClient } from './plain-client.ts';
import { fillZone, type ZoneRows } from './zone-rows.ts';

/** Everything a service reads that belongs to a zone: its own tables and what others publish to it. */
const readable = {
  api: [
    ...[
      ...(['zones', 'applications', 'providers', 'resources', 'outbox'] as const),
      ...(['policies', 'policy_versions', 'policy_sets', 'policy_set_versions'] as const),
    ].map((name) => `api.${name}`),
    'sts_pub.approvals',
    'sts_pub.connections',
  ],
  sts: [
    ...[
      'zone_keys',
      'session_records',
      'revocations',
      'approvals',
      'provider_connections',
      'connection_attempts',
      'outbox',
    ].map((name) => `sts.${name}`),
    ...['zones', 'applications', 'providers', 'provider_secrets', 'resources', 'active_policy_sets'].map(
      (name) => `api_pub.${name}`,
    ),
    ...['agent_sessions', 'delegation_edges', 'graph_epochs'].map((name) => `coordinator_pub.${name}`),
  ],
  coordinator: ['agent_sessions', 'delegation_edges', 'capacity', 'graph_epochs', 'idempotency_receipts', 'outbox'].map(
    (name) => `coordinator.${name}`,
  ),
  gateway: ['api_pub.resources', 'coordinator_pub.graph_epochs'],
  audit: ['events', 'event_ids', 'chain_heads', 'findings'].map((name) => `audit.${name}`),
} as const;

/** The column that names the zone. */
const zoneColumn = (table: string): string => (/[._]zones$/.test(table) && !table.includes('all') ? 'id' : 'zone_id');

const loaderReads = {
  api: ['zones', 'applications', 'providers', 'resources', 'outbox'],
  sts: ['revocations', 'outbox'],
  coordinator: ['agent_sessions', 'delegation_edges', 'outbox'],
  audit: ['events', 'event_ids', 'chain_heads', 'findings'],
} as const;

describe.each(testPostgresServers())('on Postgres $name', (server) => {
  let database: DisposableDatabase;
  let mine: ZoneRows;
  let theirs: ZoneRows;

  beforeAll(async () => {
    database = await disposableDatabase(server);
    mine = await fillZone(database.urls);
    theirs = await fillZone(database.urls);
  });
  afterAll(() => database[Symbol.asyncDispose]());

  const countIn = (table: string): string =>
    `SELECT count(*)::int AS seen, count(*) FILTER (WHERE ${zoneColumn(table)} = '${mine.zone}')::int AS own FROM ${table}`;

  test.each(services)('%s sees its zone, and nothing with nothing set', async (service) => {
    await using client = await serviceClient(database.urls, service);
    for (const table of readable[service]) {
      const [bound] = await client.run(mine.zone, countIn(table));
      expect([table, Number(bound?.['seen']) > 0, bound?.['seen']]).toEqual([table, true, bound?.['own']]);
      expect([table, await client.run(undefined, countIn(table))]).toEqual([table, [{ seen: 0, own: 0 }]]);
      expect([table, await client.run('', countIn(table))]).toEqual([table, [{ seen: 0, own: 0 }]]);
      expect([table, await client.run('%', countIn(table))]).toEqual([table, [{ seen: 0, own: 0 }]]);
      expect([table, await client.run(newId(), countIn(table))]).toEqual([table, [{ seen: 0, own: 0 }]]);
    }
  });

  test('a zone set in one transaction is not set in the next', async () => {
    await using client = await serviceClient(database.urls, 'api');
    expect(await client.run(mine.zone, 'SELECT id FROM api.zones')).toHaveLength(1);
    expect(await client.run(undefined, 'SELECT id FROM api.zones')).toHaveLength(0);
  });

  test('a row of another zone can be neither written, nor changed, nor moved', async () => {
    await using api = await serviceClient(database.urls, 'api');
    const insert = "INSERT INTO api.policies (id, zone_id, name) VALUES ($1, $2, 'x')";
    expect(await api.refusal(mine.zone, [insert, newId(), theirs.zone])).toBe(insufficientPrivilege);
    expect(await api.refusal(undefined, [insert, newId(), mine.zone])).toBe(insufficientPrivilege);
    expect(await api.refusal(mine.zone, ['UPDATE api.resources SET zone_id = $1', theirs.zone])).toBe(
      insufficientPrivilege,
    );
    const renamed = await api.run(mine.zone, [
      "UPDATE api.applications SET name = 'taken over' WHERE id = $1 RETURNING id",
      theirs.application,
    ]);
    expect(renamed).toEqual([]);
    const crossing = [
      'UPDATE api.resources SET provider_id = $2 WHERE id = $1',
      mine.resource,
      theirs.provider,
    ] as const;
    expect(await api.refusal(mine.zone, crossing)).toBe('23503');
    await using coordinator = await serviceClient(database.urls, 'coordinator');
    const edge = `INSERT INTO coordinator.delegation_edges (id, zone_id, source_session_id, target_session_id,
      issuer_application_id, receiver_application_id, scopes, max_hops, state, expires_at)
      VALUES ($1, $2, $3, $4, $5, $5, '{read}', 1, 'active', clock_timestamp() + interval '1 hour')`;
    expect(
      await coordinator.refusal(mine.zone, [edge, newId(), mine.zone, mine.session, theirs.child, mine.application]),
    ).toBe('23503');
  });

  test.each(Object.keys(loaderReads) as (keyof typeof loaderReads)[])(
    'the loader of %s sees all zones with nothing set, and can write nothing',
    async (service) => {
      await using loader = await loaderClient(database.urls, service);
      for (const table of loaderReads[service].map((name) => `${service}.${name}`)) {
        const column = zoneColumn(table);
        const [row] = await loader.run(undefined, [
          `SELECT count(DISTINCT ${column})::int AS zones FROM ${table} WHERE ${column} = ANY ($1)`,
          [mine.zone, theirs.zone],
        ]);
        expect([table, row]).toEqual([table, { zones: 2 }]);
        for (const write of [`DELETE FROM ${table}`, `UPDATE ${table} SET ${column} = ${column}`]) {
          expect([write, await loader.refusal(mine.zone, write)]).toEqual([write, insufficientPrivilege]);
        }
        const insert = `INSERT INTO ${table} (${column}) SELECT ${column} FROM ${table}`;
        expect([insert, await loader.refusal(mine.zone, insert)]).toEqual([insert, insufficientPrivilege]);
      }
    },
  );

  test('the Gateway reads all zones and resources only as its loader, and no secret', async () => {
    await using loader = await loaderClient(database.urls, 'gateway');
    const zones = await loader.run(undefined, 'SELECT * FROM api_pub.all_zones()');
    expect(new Set(zones.map((row) => row['id']))).toEqual(new Set([mine.zone, theirs.zone]));
    expect(Object.keys(zones[0] ?? {}).toSorted()).toEqual(['archived_at', 'id', 'name', 'slug', 'version']);
    const resources = await loader.run(undefined, 'SELECT * FROM api_pub.all_resources()');
    expect(new Set(resources.map((row) => row['zone_id']))).toEqual(new Set([mine.zone, theirs.zone]));
    const anchors = await loader.run(undefined, 'SELECT * FROM sts_pub.all_revocations_after(0, 100)');
    expect(anchors).toHaveLength(2);
    await using gateway = await serviceClient(database.urls, 'gateway');
    for (const call of ['api_pub.all_zones()', 'api_pub.all_resources()', 'sts_pub.all_revocations_after(0, 1)']) {
      expect(await gateway.refusal(mine.zone, `SELECT * FROM ${call}`)).toBe(insufficientPrivilege);
    }
  });

  test('a definer function refuses a zone that is not the transaction’s', async () => {
    await using api = await serviceClient(database.urls, 'api');
    await using coordinator = await serviceClient(database.urls, 'coordinator');
    const anchors = JSON.stringify([{ kind: 'zone', anchor: theirs.zone }]);
    const jwk = JSON.stringify({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' });
    const revoke = ['SELECT sts_pub.revoke($1, $2, $3)', theirs.zone, anchors, 'not mine'] as const;
    const install = [
      'SELECT sts_pub.install_zone_key($1, $2, $3, $4)',
      theirs.zone,
      newId(),
      jwk,
      Buffer.from('x'),
    ] as const;
    const refuses = ['SELECT sts_pub.refuses($1, 0, $2)', theirs.zone, ['x']] as const;
    for (const zone of [mine.zone, undefined, '']) {
      expect(await api.refusal(zone, revoke)).toBe(insufficientPrivilege);
      expect(await api.refusal(zone, install)).toBe(insufficientPrivilege);
      expect(await coordinator.refusal(zone, refuses)).toBe(insufficientPrivilege);
    }
    const empty = ['SELECT sts_pub.revoke($1, $2, $3)', '', anchors, 'no zone'] as const;
    expect(await api.refusal('', empty)).toBe(insufficientPrivilege);
  });

  test('the API stores sealed secrets and cannot read them back', async () => {
    await using api = await serviceClient(database.urls, 'api');
    expect(await api.refusal(mine.zone, 'SELECT envelope FROM api.provider_secrets')).toBe(insufficientPrivilege);
    expect(await api.refusal(mine.zone, 'SELECT * FROM sts.zone_keys')).toBe(insufficientPrivilege);
    await using sts = await serviceClient(database.urls, 'sts');
    expect(await sts.run(mine.zone, 'SELECT envelope FROM api_pub.provider_secrets')).toHaveLength(1);
  });

  test('what has decided cannot be changed, not even by the owner', async () => {
    await using api = await serviceClient(database.urls, 'api');
    const change = ["UPDATE api.policy_versions SET content = 'x' WHERE id = $1", mine.policyVersion] as const;
    expect(await api.refusal(mine.zone, change)).toBe(insufficientPrivilege);
    expect(
      await api.refusal(mine.zone, ["UPDATE api.policy_set_versions SET params = '{}' WHERE id = $1", mine.setVersion]),
    ).toBe(insufficientPrivilege);
    await using owner = await plainClient(database.administratorUrl, 'caracal_owner');
    expect(await owner.refusal(mine.zone, change)).toBe('23001');
    expect(await owner.refusal(mine.zone, 'DELETE FROM api.policy_versions')).toBe('23001');
    expect(await owner.run(undefined, "UPDATE api.policy_versions SET content = 'x' RETURNING id")).toEqual([]);
  });

  test('a zone has at most one active policy-set version', async () => {
    await using api = await serviceClient(database.urls, 'api');
    const second = `INSERT INTO api.policy_set_versions (id, zone_id, policy_set_id, version, manifest, digest, active, activated_at)
      SELECT $1, zone_id, policy_set_id, 2, manifest, digest, true, clock_timestamp() FROM api.policy_set_versions WHERE id = $2`;
    expect(await api.refusal(mine.zone, [second, newId(), mine.setVersion])).toBe('23505');
  });

  test('an ended session stays ended', async () => {
    await using coordinator = await serviceClient(database.urls, 'coordinator');
    const end =
      "UPDATE coordinator.agent_sessions SET state = 'terminated', ended_at = clock_timestamp() WHERE id = $1";
    const revive = "UPDATE coordinator.agent_sessions SET state = 'active', ended_at = NULL WHERE id = $1";
    await coordinator.run(theirs.zone, [end, theirs.session]);
    expect(await coordinator.refusal(theirs.zone, [revive, theirs.session])).toBe('23001');
  });

  test('an anchor refuses what was issued before it, in its zone, and nothing else', async () => {
    await using coordinator = await serviceClient(database.urls, 'coordinator');
    const anchor = newId();
    const [row] = await coordinator.run(mine.zone, [
      'SELECT sts_pub.revoke($1, $2, $3) AS number',
      mine.zone,
      JSON.stringify([{ kind: 'agent_session', anchor }]),
      'ended',
    ]);
    const number = Number(row?.['number']);
    const refuses = async (zone: string, rev: number, id: string): Promise<unknown> =>
      (await coordinator.run(zone, ['SELECT sts_pub.refuses($1, $2, $3) AS refused', zone, rev, [newId(), id]]))[0]?.[
        'refused'
      ];
    expect(await refuses(mine.zone, number - 1, anchor)).toBe(true);
    expect(await refuses(mine.zone, number, anchor)).toBe(false);
    expect(await refuses(mine.zone, number - 1, newId())).toBe(false);
    expect(await refuses(theirs.zone, number - 1, anchor)).toBe(false);
  });

  test.each([
    ['no anchors', '[]'],
    ['no array', '{}'],
    ['an unknown kind', '[{"kind":"galaxy","anchor":"x"}]'],
    ['an anchor without id', '[{"kind":"jti"}]'],
  ])('revoke refuses %s and gives no number', async (_what, anchors) => {
    await using sts = await serviceClient(database.urls, 'sts');
    const head = "SELECT head FROM sts.stream_heads WHERE stream = 'caracal.sessions.revoke'";
    const before = await sts.run(undefined, head);
    expect(await sts.refusal(mine.zone, ['SELECT sts_pub.revoke($1, $2, $3)', mine.zone, anchors, 'r'])).toMatch(
      /^(22023|23502|23514)$/,
    );
    expect(await sts.run(undefined, head)).toEqual(before);
  });

  test('a key is installed with its evidence and its invalidation, once', async () => {
    await using sts = await serviceClient(database.urls, 'sts');
    const written = await sts.run(
      mine.zone,
      "SELECT stream, payload, number IS NOT NULL AS numbered FROM sts.outbox WHERE stream = 'caracal.keys.invalidate' OR payload ->> 'eventType' = 'key.created' ORDER BY stream",
    );
    expect(written).toMatchObject([
      { stream: 'caracal.audit.events', numbered: false, payload: { zoneId: mine.zone, metadata: { kid: mine.kid } } },
      { stream: 'caracal.keys.invalidate', numbered: true, payload: { zoneId: mine.zone } },
    ]);
    await using api = await serviceClient(database.urls, 'api');
    const again = [
      'SELECT sts_pub.install_zone_key($1, $2, $3, $4)',
      mine.zone,
      newId(),
      JSON.stringify({ kty: 'EC', crv: 'P-256' }),
      Buffer.from('x'),
    ] as const;
    expect(await api.refusal(mine.zone, again)).toBe('23505');
    const withPrivate = [
      'SELECT sts_pub.install_zone_key($1, $2, $3, $4)',
      mine.zone,
      newId(),
      JSON.stringify({ kty: 'EC', crv: 'P-256', d: 'x' }),
      Buffer.from('x'),
    ] as const;
    expect(await api.refusal(mine.zone, withPrivate)).toBe('23514');
  });

  test('the barrier counts live points, names those that wait, and forgets those that are gone', async () => {
    await using gateway = await serviceClient(database.urls, 'gateway');
    await using sts = await serviceClient(database.urls, 'sts');
    const [near, far] = [newId(), newId()];
    await gateway.run(
      undefined,
      ["SELECT sts_pub.register_point($1, 'gateway', 'near')", near],
      ["SELECT sts_pub.register_point($1, 'gateway', 'far')", far],
    );
    const [row] = await sts.run(mine.zone, [
      'SELECT sts_pub.revoke($1, $2, $3) AS number',
      mine.zone,
      JSON.stringify([{ kind: 'jti', anchor: newId() }]),
      'r',
    ]);
    const number = Number(row?.['number']);
    const barrier = (): Promise<unknown> => sts.run(undefined, ['SELECT * FROM sts_pub.barrier($1)', number]);
    expect(await barrier()).toEqual([{ points: 2, waiting: 2, gone: 0, missing: ['gateway/far', 'gateway/near'] }]);
    const renew = ['SELECT renewed FROM sts_pub.renew_point($1, $2)', near, number] as const;
    expect(await gateway.run(undefined, renew)).toEqual([{ renewed: true }]);
    expect(await barrier()).toEqual([{ points: 2, waiting: 1, gone: 0, missing: ['gateway/far'] }]);
    await sts.run(undefined, ['UPDATE sts.enforcement_points SET gone_at = clock_timestamp() WHERE id = $1', far]);
    expect(await barrier()).toEqual([{ points: 1, waiting: 0, gone: 1, missing: [] }]);
    expect(await gateway.run(undefined, ['SELECT renewed FROM sts_pub.renew_point($1, $2)', far, number])).toEqual([
      { renewed: false },
    ]);
    await gateway.run(undefined, ['SELECT sts_pub.renew_point($1, 0)', near]);
    expect(await barrier()).toEqual([{ points: 1, waiting: 0, gone: 1, missing: [] }]);
  });

  test('the ledger’s partitions are made once, by Audit, and an absurd date has none', async () => {
    await using audit = await serviceClient(database.urls, 'audit');
    await audit.run(undefined, 'SELECT audit_pub.ensure_partitions(6)');
    expect(await audit.run(undefined, 'SELECT audit_pub.ensure_partitions(6) AS made')).toEqual([{ made: 0 }]);
    expect(await audit.refusal(undefined, 'SELECT audit_pub.ensure_partitions(1000)')).toBe('22023');
    const insert = `INSERT INTO audit.events SELECT (jsonb_populate_record(e, jsonb_build_object('id', $1::text, 'occurred_at', '1999-01-01T00:00:00Z'))).* FROM audit.events AS e`;
    expect(await audit.refusal(mine.zone, [insert, newId()])).toBe('23514');
    expect(await audit.refusal(mine.zone, 'DELETE FROM audit.events')).toBe(insufficientPrivilege);
    expect(await audit.refusal(mine.zone, "UPDATE audit.events SET canonical = 'x'")).toBe(insufficientPrivilege);
  });

  test('watermarks are read through the published function alone', async () => {
    await using sts = await serviceClient(database.urls, 'sts');
    expect(await sts.run(undefined, "SELECT * FROM audit_pub.producer_watermarks('sts')")).toEqual([
      { incarnation: 'i', seq: '1' },
    ]);
    expect(await sts.run(undefined, "SELECT * FROM audit_pub.producer_watermarks('gateway')")).toEqual([]);
  });
});
