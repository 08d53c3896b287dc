// Brings a database to the current schema: plain SQL files, forward only, sealed by checksum, one at a time in the whole
// installation. It stands alone because it is the only code that runs as the owner of everything.
import { setTimeout as wait } from 'node:timers/promises';
import { services } from '#mesh/topology';
import pg from 'pg';
import { migrationsDirectory, readMigrations, type MigrationFile } from './migration-files.ts';
import { lockClass, locks } from './locks.ts';
import { ownerRole, serviceRole } from './roles.ts';
import { oldestServerVersion, serverVersion } from './server-version.ts';

export interface MigrateOptions {
  /** An administrator, or a login that may put on the owner's role. */
  readonly administratorUrl: string;
  readonly directory?: string | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

export interface MigrateResult {
  /** Names of the files that this call has run. */
  readonly applied: string[];
  /** The highest number in the database now. */
  readonly version: number;
}

/**
 * The lock is asked for again and again instead of waited for: a waiting statement holds a snapshot, and CREATE INDEX
 * CONCURRENTLY in the other migrator would wait for that snapshot for ever.
 */
const lockPauseMs = 100;

/**
 * Runs every migration that the database has not seen. Each runs in its own transaction together with its entry in
 * caracal.migrations; one marked `-- caracal: concurrently` runs outside, and again from the start if it was cut off.
 * Running twice changes nothing; two at once run one after the other. Throws when a file that has run was changed.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const log = options.log ?? (() => {});
  const files = await readMigrations(options.directory ?? migrationsDirectory);
  const client = new pg.Client({ connectionString: options.administratorUrl, application_name: 'caracal-migrate' });
  client.on('error', () => {});
  await client.connect().catch((error: unknown) => {
    if (!(error instanceof pg.DatabaseError) || error.code !== '3D000') throw error;
    throw new Error(`${error.message}: run \`npm run migrate -- bootstrap\` as an administrator`, { cause: error });
  });
  try {
    await prepare(client);
    await takeLock(client, log);
    await ensureRegister(client);
    const done = await readRegister(client);
    refuseChanges(files, done);
    const applied: string[] = [];
    for (const file of files.slice(done.length)) {
      const startedMs = performance.now();
      await (file.concurrently ? runOutside(client, file) : runInTransaction(client, file));
      log(`${file.name} applied in ${Math.round(performance.now() - startedMs)} ms`);
      applied.push(file.name);
    }
    return { applied, version: Math.max(files.length, done.length) };
  } finally {
    await client.end();
  }
}

/** Puts on the owner's role, after looking that it has no powers that would void row-level security. */
async function prepare(client: pg.Client): Promise<void> {
  const version = await serverVersion(client);
  if (version < oldestServerVersion) throw new Error(`Postgres 15 or newer is needed, this server reports ${version}`);
  const { rows } = await client.query<{ dangerous: boolean }>(
    'SELECT rolsuper OR rolbypassrls AS dangerous FROM pg_roles WHERE rolname = $1',
    [ownerRole],
  );
  if (rows[0] === undefined)
    throw new Error('the roles are missing: run `npm run migrate -- bootstrap` as an administrator');
  if (rows[0].dangerous)
    throw new Error(`${ownerRole} is superuser or bypasses row-level security: take that away first`);
  await client.query(`SET ROLE ${ownerRole}`);
  await client.query("SET client_min_messages = warning; SET search_path = pg_catalog; SET TimeZone = 'UTC'");
}

async function takeLock(client: pg.Client, log: (line: string) => void): Promise<void> {
  for (let waited = false; ; waited = true) {
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS taken', [
      lockClass,
      locks.migrations,
    ]);
    if (rows[0]?.taken === true) return;
    if (!waited) log('another migration is running, waiting for it');
    await wait(lockPauseMs);
  }
}

/** The one table that no migration can make: where it is written which of them have run. Every service may read it. */
async function ensureRegister(client: pg.Client): Promise<void> {
  const readers = services.map(serviceRole).join(', ');
  await client.query(`
    BEGIN;
    CREATE SCHEMA IF NOT EXISTS caracal;
    CREATE TABLE IF NOT EXISTS caracal.migrations (
      number      int PRIMARY KEY CHECK (number > 0),
      name        text NOT NULL UNIQUE,
      checksum    text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
      applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    GRANT USAGE ON SCHEMA caracal TO ${readers};
    GRANT SELECT ON caracal.migrations TO ${readers};
    COMMIT;`);
}

interface RegisterRow {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
}

async function readRegister(client: pg.Client): Promise<RegisterRow[]> {
  const { rows } = await client.query<RegisterRow>(
    'SELECT number, name, checksum FROM caracal.migrations ORDER BY number',
  );
  return rows;
}

/** A database may be ahead of this release (the next one has migrated it), and may not differ from it. */
function refuseChanges(files: readonly MigrationFile[], done: readonly RegisterRow[]): void {
  for (const [index, row] of done.entries()) {
    const file = files[index];
    if (row.number !== index + 1)
      throw new Error(`the database says that migration ${row.number} ran without those before it`);
    if (file === undefined) return;
    if (file.name !== row.name || file.checksum !== row.checksum) {
      throw new Error(
        `${file.name}.sql is not the file that ran as ${row.name}: a migration that has run never changes, write a new one`,
      );
    }
  }
}

const register = 'INSERT INTO caracal.migrations (number, name, checksum) VALUES ($1, $2, $3)';

async function runInTransaction(client: pg.Client, file: MigrationFile): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(file.sql);
    await client.query(register, [file.number, file.name, file.checksum]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw located(file, error);
  }
}

/** The index a CONCURRENTLY statement makes, as schema and name; undefined for other statements. */
const indexForm = /CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)\s+ON\s+(\w+)\./i;

async function runOutside(client: pg.Client, file: MigrationFile): Promise<void> {
  try {
    const [, index, schema] = indexForm.exec(file.sql) ?? [];
    if (index !== undefined && schema !== undefined) await dropInvalidIndex(client, schema, index);
    // Extended protocol: the server itself refuses a second statement.
    const statement: pg.QueryConfig & { queryMode: 'extended' } = { text: file.sql, queryMode: 'extended' };
    await client.query(statement);
    await client.query(register, [file.number, file.name, file.checksum]);
  } catch (error) {
    throw located(file, error);
  }
}

/** What a CREATE INDEX CONCURRENTLY leaves behind when it is cut off would make the next run fail. */
async function dropInvalidIndex(client: pg.Client, schema: string, index: string): Promise<void> {
  const { rows } = await client.query(
    `SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE c.relname = $2 AND c.relnamespace = to_regnamespace($1) AND NOT i.indisvalid`,
    [schema, index],
  );
  if (rows.length > 0) {
    await client.query(`DROP INDEX CONCURRENTLY ${client.escapeIdentifier(schema)}.${client.escapeIdentifier(index)}`);
  }
}

function located(file: MigrationFile, error: unknown): Error {
  const position = error instanceof pg.DatabaseError ? Number(error.position) : Number.NaN;
  const line = Number.isNaN(position) ? '' : `, line ${file.sql.slice(0, position).split('\n').length}`;
  return new Error(`${file.name}.sql failed${line}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}
