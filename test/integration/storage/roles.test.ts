// Who may do what in the database, read from its own catalogue and then tried: everything that is not listed here is denied.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { services, type ServiceName } from '#mesh/topology';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { testPostgresServers } from '#test/stack';
import { insufficientPrivilege, loaderClient, plainClient, serviceClient } from './plain-client.ts';

const roles = services.flatMap((service) => [`caracal_${service}`, `caracal_${service}_loader`]);
const schemas = [...services, 'api_pub', 'sts_pub', 'coordinator_pub', 'audit_pub', 'caracal'];

/** Everything a service publishes, and to whom: the whole of what crosses from one service to another. */
const published: Readonly<Record<string, readonly string[]>> = {
  'api_pub.zones': ['caracal_sts'],
  'api_pub.applications': ['caracal_sts'],
  'api_pub.providers': ['caracal_sts'],
  'api_pub.provider_secrets': ['caracal_sts'],
  'api_pub.resources': ['caracal_gateway', 'caracal_sts'],
  'api_pub.subject_issuers': ['caracal_sts'],
  'api_pub.grants': ['caracal_sts'],
  'api_pub.active_policy_sets': ['caracal_sts'],
  'api_pub.shadow_policy_sets': ['caracal_sts'],
  'api_pub.all_zones': ['caracal_gateway_loader'],
  'api_pub.all_resources': ['caracal_gateway_loader'],
  'api_pub.reseal_provider_secret': ['caracal_sts'],
  'api_pub.stream_heads': ['caracal_gateway', 'caracal_sts'],
  'sts_pub.revoke': ['caracal_api', 'caracal_coordinator', 'caracal_sts'],
  'sts_pub.refuses': ['caracal_coordinator'],
  'sts_pub.revocation_head': [
    'caracal_api',
    'caracal_coordinator',
    'caracal_gateway',
    'caracal_gateway_loader',
    'caracal_sts',
    'caracal_sts_loader',
  ],
  // And to caracal_sts_loader, which owns it.
  'sts_pub.all_revocations_after': ['caracal_gateway_loader'],
  'sts_pub.leave_point': ['caracal_gateway', 'caracal_sts'],
  'sts_pub.register_point': ['caracal_gateway', 'caracal_sts'],
  'sts_pub.renew_point': ['caracal_gateway', 'caracal_sts'],
  'sts_pub.report_point': ['caracal_gateway', 'caracal_sts'],
  'sts_pub.propagation': ['caracal_api', 'caracal_coordinator', 'caracal_sts'],
  'sts_pub.barrier': ['caracal_api', 'caracal_coordinator', 'caracal_sts'],
  'sts_pub.install_zone_key': ['caracal_api'],
  'sts_pub.lock_zone_keys': ['caracal_api'],
  'sts_pub.rotate_zone_key': ['caracal_api'],
  'sts_pub.replace_zone_keys': ['caracal_api'],
  'sts_pub.zone_keys': ['caracal_api'],
  'sts_pub.installation': ['caracal_api', 'caracal_audit'],
  'sts_pub.approvals': ['caracal_api'],
  'sts_pub.connections': ['caracal_api'],
  'sts_pub.revoke_connection': ['caracal_api'],
  'sts_pub.decide_approval': ['caracal_api'],
  'sts_pub.stream_heads': ['caracal_gateway', 'caracal_sts'],
  'coordinator_pub.agent_sessions': ['caracal_sts'],
  'coordinator_pub.delegation_edges': ['caracal_sts'],
  'coordinator_pub.graph_epochs': ['caracal_gateway', 'caracal_sts'],
  'coordinator_pub.stream_heads': ['caracal_gateway', 'caracal_sts'],
  'audit_pub.producer_watermarks': ['caracal_api', 'caracal_coordinator', 'caracal_gateway', 'caracal_sts'],
  'audit_pub.ensure_partitions': ['caracal_audit'],
  'caracal.migrations': services.map((service) => `caracal_${service}`).toSorted(),
};

/** The functions that hand over a loader's sight; each is owned by the loader it runs as. */
const crossingZones: Readonly<Record<string, string>> = {
  'api_pub.all_zones': 'caracal_api_loader',
  'api_pub.all_resources': 'caracal_api_loader',
  'sts_pub.all_revocations_after': 'caracal_sts_loader',
};

/** Tables without zone: what they hold belongs to no tenant, or is found before any zone is known. */
const withoutZone = [
  'api.admin_tokens',
  'api.outbox_counter',
  'api.stream_heads',
  'api.stream_progress',
  'audit.dead_letters',
  'audit.producer_watermarks',
  'caracal.migrations',
  'coordinator.outbox_counter',
  'coordinator.stream_heads',
  'coordinator.stream_progress',
  'sts.enforcement_points',
  'sts.installation',
  'sts.outbox_counter',
  'sts.stream_heads',
  'sts.stream_progress',
];

interface Grant {
  readonly schema: string;
  readonly object: string;
  readonly kind: 'table' | 'view' | 'sequence' | 'function';
  readonly grantee: string;
  readonly privilege: string;
}

const grantsQuery = `
  SELECT n.nspname AS schema, c.relname AS object,
         CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
         CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS grantee, a.privilege_type AS privilege
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace,
       aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) AS a
  WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND a.grantee <> c.relowner
  UNION ALL
  SELECT n.nspname, c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
         CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type || ' (' || t.attname || ')'
  FROM pg_attribute AS t JOIN pg_class AS c ON c.oid = t.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace,
       aclexplode(t.attacl) AS a
  WHERE n.nspname = ANY ($1) AND t.attacl IS NOT NULL
  UNION ALL
  SELECT n.nspname, p.proname, 'function',
         CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type
  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace,
       aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
  WHERE n.nspname = ANY ($1) AND a.grantee <> p.proowner`;

describe.each(testPostgresServers())('on Postgres $name', (server) => {
  let database: DisposableDatabase;
  let administrator: pg.Client;

  beforeAll(async () => {
    database = await disposableDatabase(server);
    administrator = new pg.Client({ connectionString: database.administratorUrl });
    await administrator.connect();
  });
  afterAll(async () => {
    await administrator.end();
    await database[Symbol.asyncDispose]();
  });

  const all = async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> =>
    (await administrator.query<R>(text, values)).rows;

  test('no role of ours is superuser, bypasses row-level security or may log in', async () => {
    const found = await all<{ name: string; harmless: boolean }>(
      `SELECT rolname AS name, NOT (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication)
         AS harmless FROM pg_roles WHERE rolname = ANY ($1) ORDER BY 1`,
      [['caracal_owner', ...roles]],
    );
    expect(found).toEqual(['caracal_owner', ...roles].toSorted().map((name) => ({ name, harmless: true })));
  });

  test('no login, owner or service has the rights of a loader without putting it on', async () => {
    for (const service of services) {
      const [row] = await all<{ inherited: boolean }>(
        `SELECT bool_or(pg_has_role(m, $1, 'USAGE')) AS inherited FROM unnest($2::text[]) AS m`,
        [
          `caracal_${service}_loader`,
          ['caracal_owner', ...services.flatMap((each) => [`caracal_${each}`, `caracal_${each}_login`])],
        ],
      );
      expect(row).toEqual({ inherited: false });
    }
  });

  test('every object is owned by the owner, but the functions that cross zones', async () => {
    const strays = await all<{ name: string; owner: string }>(
      `SELECT n.nspname || '.' || o.name AS name, pg_get_userbyid(o.owner) AS owner
       FROM (SELECT relname AS name, relowner AS owner, relnamespace AS space FROM pg_class
             UNION ALL SELECT proname, proowner, pronamespace FROM pg_proc
             UNION ALL SELECT typname, typowner, typnamespace FROM pg_type) AS o
       JOIN pg_namespace AS n ON n.oid = o.space
       WHERE n.nspname = ANY ($1) AND pg_get_userbyid(o.owner) <> 'caracal_owner' ORDER BY 1`,
      [schemas],
    );
    expect(Object.fromEntries(strays.map(({ name, owner }) => [name, owner]))).toEqual(crossingZones);
  });

  test('PUBLIC holds nothing', async () => {
    const grants = await all<Grant>(grantsQuery, [schemas]);
    expect(grants.filter(({ grantee }) => grantee === 'PUBLIC')).toEqual([]);
    const [open] = await all<{ count: string }>(
      `SELECT count(*) FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = ANY ($1) AND a.grantee = 0`,
      [schemas],
    );
    expect(open).toEqual({ count: '0' });
  });

  test('a role is granted its own schema and what is published to it, and nothing else', async () => {
    const grants = await all<Grant>(grantsQuery, [schemas]);
    const crossing = new Map<string, Set<string>>();
    for (const { schema, object, grantee } of grants) {
      const own = grantee === `caracal_${schema}` || grantee === `caracal_${schema}_loader`;
      if (own) continue;
      const name = `${schema}.${object}`;
      crossing.set(name, (crossing.get(name) ?? new Set()).add(grantee));
    }
    const found = Object.fromEntries([...crossing].map(([name, grantees]) => [name, [...grantees].toSorted()]));
    expect(found).toEqual(published);
  });

  test('what is published for reading is granted for reading alone', async () => {
    const grants = await all<Grant>(grantsQuery, [schemas]);
    const views = grants.filter(({ schema, kind }) => schema.endsWith('_pub') && kind === 'view');
    expect(views.length).toBeGreaterThan(0);
    expect(new Set(views.map(({ privilege }) => privilege))).toEqual(new Set(['SELECT']));
  });

  test('loaders are granted nothing but reading', async () => {
    const grants = await all<Grant>(grantsQuery, [schemas]);
    const privileges = grants.filter(({ grantee }) => grantee.endsWith('_loader')).map(({ privilege }) => privilege);
    // On single columns where the rest of a row is none of the loader's business.
    expect(new Set(privileges.map((privilege) => privilege.replace(/ .*/, '')))).toEqual(
      new Set(['SELECT', 'EXECUTE']),
    );
  });

  test('nobody may change or delete an event, a revocation or a policy version', async () => {
    const grants = await all<Grant>(grantsQuery, [schemas]);
    const written = (name: string): string[] =>
      grants
        .filter(({ schema, object }) => `${schema}.${object}` === name)
        .filter(({ privilege }) => !privilege.startsWith('SELECT'))
        .map(({ grantee, privilege }) => `${grantee} ${privilege}`);
    expect(written('audit.events')).toEqual(['caracal_audit INSERT']);
    expect(written('sts.revocations')).toEqual([]);
    expect(written('api.policy_versions')).toEqual(['caracal_api INSERT']);
    expect(written('sts.outbox')).toEqual(['caracal_sts INSERT']);
  });

  test.each(roles)('%s is denied every table, view and function of another service, when it tries', async (role) => {
    const service = role.replace(/^caracal_/, '').replace(/_loader$/, '') as ServiceName;
    const relations = await all<{ name: string; granted: boolean }>(
      `SELECT n.nspname || '.' || c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
       WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v') AND n.nspname <> $2 ORDER BY 1`,
      [schemas, service],
    );
    await using client = await plainClient(database.urls[service], role);
    for (const { name } of relations) {
      const expected = published[name]?.includes(role) === true ? undefined : insufficientPrivilege;
      expect([name, await client.refusal(undefined, `SELECT * FROM ${name} LIMIT 1`)]).toEqual([name, expected]);
      // A view over several tables cannot be written by anyone: object_not_in_prerequisite_state.
      expect([insufficientPrivilege, '55000']).toContain(await client.refusal(undefined, `DELETE FROM ${name}`));
    }
    const functions = await all<{ name: string; call: string }>(
      `SELECT n.nspname || '.' || p.proname AS name,
              'SELECT ' || n.nspname || '.' || p.proname || '(' || (SELECT coalesce(string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY o), '')
                FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (t, o)) || ')' AS call
       FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
       WHERE n.nspname = ANY ($1) AND n.nspname <> $2 AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype ORDER BY 1`,
      [schemas, service],
    );
    for (const { name, call } of functions) {
      if (published[name]?.includes(role) === true || crossingZones[name] === role) continue;
      expect([name, await client.refusal(undefined, call)]).toEqual([name, insufficientPrivilege]);
    }
  });

  test.each(roles)('%s can neither create anything nor become the owner or another service', async (role) => {
    const service = role.replace(/^caracal_/, '').replace(/_loader$/, '') as ServiceName;
    await using client = await plainClient(database.urls[service], role);
    for (const schema of schemas) {
      expect(await client.refusal(undefined, `CREATE TABLE ${schema}.mine (id int)`)).toBe(insufficientPrivilege);
    }
    expect(await client.refusal(undefined, 'CREATE SCHEMA mine')).toBe(insufficientPrivilege);
    const others = ['caracal_owner', ...roles.filter((each) => !each.startsWith(`caracal_${service}`))];
    for (const other of others) {
      expect([other, await client.refusal(undefined, `SET LOCAL ROLE ${other}`)]).toEqual([
        other,
        insufficientPrivilege,
      ]);
    }
  });

  test('every zone table forces row-level security with the two policies', async () => {
    const tables = await all<{ name: string; forced: boolean; policies: string[] }>(
      `SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
         (SELECT coalesce(array_agg(polname::text ORDER BY polname), '{}') FROM pg_policy WHERE polrelid = c.oid) AS policies
       FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
       WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') ORDER BY 1`,
      [schemas],
    );
    const zoneTables = tables.filter(({ name }) => !withoutZone.includes(name));
    expect(zoneTables.length).toBeGreaterThan(20);
    for (const { name, forced, policies } of zoneTables) {
      expect([name, forced, policies.includes('zone_bound'), policies.includes('all_zones')]).toEqual([
        name,
        true,
        true,
        true,
      ]);
    }
    expect(tables.filter(({ name }) => withoutZone.includes(name)).map(({ name }) => name)).toEqual(withoutZone);
    const extra = zoneTables.flatMap(({ name, policies }) =>
      policies.filter((policy) => !['zone_bound', 'all_zones'].includes(policy)).map((policy) => `${name} ${policy}`),
    );
    expect(extra).toEqual([
      'api.idempotency_receipts no_zone',
      'api.idempotency_receipts purge',
      'api.outbox relay',
      'coordinator.idempotency_receipts purge',
      'coordinator.outbox relay',
      'sts.approval_failures sweep',
      'sts.approvals sweep',
      'sts.outbox relay',
      'sts.revocations prune',
      'sts.revocations relay',
      'sts.session_records expired',
      'sts.zone_keys ended',
    ]);
  });

  test('every definer function pins its search path, and every view is a security barrier run as its owner', async () => {
    const loose = await all<{ name: string }>(
      `SELECT n.nspname || '.' || p.proname AS name FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
       WHERE n.nspname = ANY ($1) AND NOT ('search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}')))`,
      [schemas],
    );
    expect(loose).toEqual([]);
    const views = await all<{ name: string; options: string[] | null }>(
      `SELECT n.nspname || '.' || c.relname AS name, c.reloptions AS options
       FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($1) AND c.relkind = 'v'`,
      [schemas],
    );
    // As many as are published by name above; one that is missing here would not be looked at.
    const known = Object.keys(published).filter((name) => views.some((view) => view.name === name));
    expect(known).toHaveLength(views.length);
    for (const { name, options } of views) expect([name, options]).toEqual([name, ['security_barrier=true']]);
  });

  test('partitions of the ledger are reached through it alone', async () => {
    const [partition] = await all<{ name: string }>(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit.events'::regclass LIMIT 1`,
    );
    await using audit = await serviceClient(database.urls, 'audit');
    await using loader = await loaderClient(database.urls, 'audit');
    expect(await audit.refusal(undefined, `SELECT * FROM ${partition?.name}`)).toBe(insufficientPrivilege);
    expect(await loader.refusal(undefined, `SELECT * FROM ${partition?.name}`)).toBe(insufficientPrivilege);
    expect(await audit.refusal(undefined, 'CREATE TABLE audit.mine (LIKE audit.events)')).toBe(insufficientPrivilege);
  });
});
