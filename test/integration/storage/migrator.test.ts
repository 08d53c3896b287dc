// Rules of bootstrap and migrator: again changes nothing, what ran stays as it ran, and any number of them may run at once.
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bootstrap, createPool, migrate, migrationsDirectory, requireSchema, schemaVersion } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import { services } from '#mesh/topology';
import { disposableDatabase, emptyDatabase } from '#test/database';
import { testEndpoints, testPostgresServers } from '#test/stack';

async function rowsOf<R extends pg.QueryResultRow>(url: string, text: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<R>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Everything a bootstrap could have changed, as one text. */
const clusterState = `
  SELECT jsonb_build_object(
    'roles', (SELECT jsonb_agg(to_jsonb(r) - 'rolpassword' ORDER BY rolname) FROM pg_roles AS r WHERE rolname LIKE 'caracal%'),
    'members', (SELECT jsonb_agg(to_jsonb(m) ORDER BY roleid, member) FROM pg_auth_members AS m),
    'database', (SELECT datacl::text FROM pg_database WHERE datname = current_database()))::text AS state`;

describe.each(testPostgresServers())('on Postgres $name', (server) => {
  let folder: string;
  let database: Awaited<ReturnType<typeof emptyDatabase>>;

  beforeEach(async () => {
    folder = await mkdtemp(join(testEndpoints().runFolder, 'migrations-'));
    database = await emptyDatabase(server);
    await bootstrap(database.administratorUrl);
  });
  afterEach(async () => {
    await database[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const run = (directory = folder): ReturnType<typeof migrate> =>
    migrate({ administratorUrl: database.administratorUrl, directory });
  const file = (name: string, sql: string): Promise<void> => writeFile(join(folder, name), sql);

  test('bootstrap again changes nothing', async () => {
    const before = await rowsOf(database.administratorUrl, clusterState);
    await bootstrap(database.administratorUrl);
    expect(await rowsOf(database.administratorUrl, clusterState)).toEqual(before);
  });

  test('several bootstraps at once all succeed', async () => {
    await using others = await emptyDatabase(server);
    const urls = [
      database.administratorUrl,
      others.administratorUrl,
      database.administratorUrl,
      others.administratorUrl,
    ];
    await Promise.all(urls.map((url) => bootstrap(url)));
    expect((await run(migrationsDirectory)).applied.length).toBeGreaterThan(0);
  });

  test('an administrator who is no superuser can do all of it, as managed servers have them', async () => {
    await using second = await emptyDatabase(server);
    const url = new URL(second.administratorUrl);
    const name = `manager_${randomBytes(4).toString('hex')}`;
    const databaseName = decodeURIComponent(url.pathname.slice(1));
    await rowsOf(second.administratorUrl, `CREATE ROLE ${name} LOGIN CREATEROLE PASSWORD 'a-password-of-tests'`);
    await rowsOf(second.administratorUrl, `ALTER DATABASE ${databaseName} OWNER TO ${name}`);
    // The roles belong to the cluster, and on this one the superuser made them.
    const admin = server.name.startsWith('15') ? '' : ' WITH ADMIN OPTION, INHERIT FALSE';
    for (const role of [
      'caracal_owner',
      ...services.flatMap((each) => [`caracal_${each}`, `caracal_${each}_loader`]),
    ]) {
      await rowsOf(second.administratorUrl, `GRANT ${role} TO ${name}${admin}`);
    }
    url.username = name;
    url.password = 'a-password-of-tests';
    await bootstrap(url.href);
    const result = await migrate({ administratorUrl: url.href });
    expect(result.applied).toHaveLength(result.version);
    await rowsOf(second.administratorUrl, `REASSIGN OWNED BY ${name} TO CURRENT_USER`);
    await rowsOf(second.administratorUrl, `DROP OWNED BY ${name}`);
    await rowsOf(second.administratorUrl, `DROP ROLE ${name}`);
  });

  test('migrations before bootstrap say what is missing', async () => {
    const url = new URL(database.administratorUrl);
    url.pathname = '/no_such_database';
    await expect(migrate({ administratorUrl: url.href })).rejects.toThrow(/bootstrap/);
  });

  test('migrations of this release run once, and again change nothing', async () => {
    const first = await run(migrationsDirectory);
    const files = (await readdir(migrationsDirectory)).filter((name) => name.endsWith('.sql'));
    expect(first.applied).toHaveLength(files.length);
    expect(await run(migrationsDirectory)).toEqual({ applied: [], version: files.length });
  });

  test('two migrators at once run each file once', async () => {
    const results = await Promise.all([run(migrationsDirectory), run(migrationsDirectory), run(migrationsDirectory)]);
    const applied = results.flatMap((result) => result.applied);
    expect(new Set(applied).size).toBe(applied.length);
    expect(new Set(results.map((result) => result.version)).size).toBe(1);
  });

  test('a file that has run and was changed is refused, and nothing after it runs', async () => {
    await file('0001_first.sql', 'CREATE SCHEMA one;');
    await run();
    await file('0001_first.sql', 'CREATE SCHEMA one; -- better');
    await file('0002_second.sql', 'CREATE SCHEMA two;');
    await expect(run()).rejects.toThrow(/0001_first\.sql is not the file that ran/);
    expect(await rowsOf(database.administratorUrl, "SELECT FROM pg_namespace WHERE nspname = 'two'")).toEqual([]);
  });

  test('a file that has run and was renamed is refused', async () => {
    await file('0001_first.sql', 'CREATE SCHEMA one;');
    await run();
    await rm(join(folder, '0001_first.sql'));
    await file('0001_other.sql', 'CREATE SCHEMA one;');
    await expect(run()).rejects.toThrow(/is not the file that ran as 0001_first/);
  });

  test('a failing file leaves nothing of itself, keeps what ran before, and can be mended', async () => {
    await file('0001_first.sql', 'CREATE SCHEMA one;');
    await file('0002_second.sql', 'CREATE TABLE one.kept (id int);\nCREATE TABLE one.kept (id int);');
    await expect(run()).rejects.toThrow(/0002_second\.sql failed/);
    expect(await rowsOf(database.administratorUrl, 'SELECT name FROM caracal.migrations')).toEqual([
      { name: '0001_first' },
    ]);
    await file('0002_second.sql', 'CREATE TABLE one.kept (id int);');
    expect((await run()).applied).toEqual(['0002_second']);
  });

  test('a database ahead of this release is left alone', async () => {
    await file('0001_first.sql', 'CREATE SCHEMA one;');
    await file('0002_second.sql', 'CREATE SCHEMA two;');
    await run();
    await rm(join(folder, '0002_second.sql'));
    expect(await run()).toEqual({ applied: [], version: 2 });
  });

  test.each([
    ['a gap', ['0001_first.sql', '0003_third.sql'], /without gaps/],
    ['a double number', ['0001_first.sql', '0001_second.sql'], /without gaps/],
    ['another form of name', ['1_first.sql'], /not named like a migration/],
  ])('%s in the numbers is refused before anything runs', async (_what, names, message) => {
    for (const name of names) await file(name, 'CREATE SCHEMA one;');
    await expect(run()).rejects.toThrow(message);
    expect(await rowsOf(database.administratorUrl, "SELECT FROM pg_namespace WHERE nspname = 'one'")).toEqual([]);
  });

  test('a file marked concurrently runs outside a transaction, also beside a waiting migrator', async () => {
    await file('0001_table.sql', 'CREATE SCHEMA one; CREATE TABLE one.rows (id int);');
    await file('0002_index.sql', '-- caracal: concurrently\nCREATE INDEX CONCURRENTLY rows_id ON one.rows (id);\n');
    const results = await Promise.all([run(), run()]);
    expect(results.flatMap((result) => result.applied).toSorted()).toEqual(['0001_table', '0002_index']);
    expect(
      await rowsOf(
        database.administratorUrl,
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'one.rows_id'::regclass",
      ),
    ).toEqual([{ indisvalid: true }]);
  });

  test('a concurrently built index that was cut off is built anew', async () => {
    await file(
      '0001_table.sql',
      'CREATE SCHEMA one; CREATE TABLE one.rows (id int); INSERT INTO one.rows VALUES (1), (1);',
    );
    await file(
      '0002_index.sql',
      '-- caracal: concurrently\nCREATE UNIQUE INDEX CONCURRENTLY rows_id ON one.rows (id);\n',
    );
    await expect(run()).rejects.toThrow(/0002_index\.sql failed/);
    await rowsOf(database.administratorUrl, 'DELETE FROM one.rows');
    expect((await run()).applied).toEqual(['0002_index']);
  });

  test('a file marked concurrently holds one statement', async () => {
    await file('0001_two.sql', '-- caracal: concurrently\nCREATE SCHEMA one;\nCREATE SCHEMA two;\n');
    await expect(run()).rejects.toThrow(/multiple commands/);
    expect(await rowsOf(database.administratorUrl, "SELECT FROM pg_namespace WHERE nspname IN ('one', 'two')")).toEqual(
      [],
    );
  });

  test('everything a migration makes belongs to the owner', async () => {
    await file('0001_first.sql', 'CREATE SCHEMA one; CREATE TABLE one.rows (id int);');
    await run();
    expect(
      await rowsOf(
        database.administratorUrl,
        "SELECT tableowner FROM pg_tables WHERE schemaname IN ('one', 'caracal')",
      ),
    ).toEqual([{ tableowner: 'caracal_owner' }, { tableowner: 'caracal_owner' }]);
  });

  test('every migration says in its first lines what it is about', async () => {
    for (const name of await readdir(migrationsDirectory)) {
      const sql = await readFile(join(migrationsDirectory, name), 'utf8');
      expect([
        name,
        sql
          .split('\n')
          .slice(0, 5)
          .every((line) => line.startsWith('--')),
      ]).toEqual([name, true]);
    }
    await mkdir(join(folder, 'copy'));
    await copyFile(join(migrationsDirectory, '0001_foundation.sql'), join(folder, 'copy', '0001_foundation.sql'));
    expect((await run(join(folder, 'copy'))).applied).toEqual(['0001_foundation']);
  });
});

describe('a service at start', () => {
  const clock = createClock();

  test('accepts the current schema under its own login, on every server', async () => {
    for (const server of testPostgresServers()) {
      await using database = await disposableDatabase(server);
      for (const service of services) {
        await using pool = createPool({ service, connectionString: database.urls[service], logger: silentLogger });
        await expect(requireSchema({ database: pool, service, clock, waitMs: 0 })).resolves.toBeUndefined();
      }
    }
  });

  test('refuses a superuser’s login', async () => {
    await using database = await disposableDatabase();
    await using pool = createPool({
      service: 'api',
      connectionString: database.administratorUrl,
      logger: silentLogger,
    });
    await expect(requireSchema({ database: pool, service: 'api', clock, waitMs: 0 })).rejects.toThrow(
      /row-level security/,
    );
  });

  test('says which schema it needs when the database has an older one, after having waited', async () => {
    await using database = await disposableDatabase();
    await rowsOf(database.administratorUrl, 'DELETE FROM caracal.migrations WHERE number > 3');
    await using pool = createPool({ service: 'api', connectionString: database.urls.api, logger: silentLogger });
    expect(await schemaVersion(pool)).toBe(3);
    const waits: string[] = [];
    const starting = requireSchema({
      database: pool,
      service: 'api',
      clock,
      waitMs: 600,
      onWait: (said) => waits.push(said),
    });
    await expect(starting).rejects.toThrow(/schema is at 3 and this release needs \d+: run `npm run migrate`/);
    expect(waits).toHaveLength(1);
  });
});
