// What a service looks at before it serves: is the schema as new as its statements, and are the roles still harmless. It
// stands alone because a service that starts on the wrong schema or as a superuser must not start at all.
import { fail } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { serviceRole, loaderRole, ownerRole } from './roles.ts';
import type { Database } from './database.ts';
import { readMigrations } from './migration-files.ts';
import type { ServiceName } from '#mesh/topology';

export interface SchemaCheckOptions {
  readonly database: Database;
  readonly service: ServiceName;
  readonly clock: Clock;
  /** Milliseconds to wait for a migration that is on its way. */
  readonly waitMs: number;
  /** Called once when waiting begins. */
  readonly onWait?: ((sentence: string) => void) | undefined;
}

const pauseMs = 250;

/** The highest migration that has run; 0 when none has, or when this role may not see that. */
export async function schemaVersion(database: Database): Promise<number> {
  const [found] = await database.query<{ there: boolean }>(
    "SELECT to_regclass('caracal.migrations') IS NOT NULL AS there FROM pg_namespace WHERE nspname = 'caracal'",
  );
  if (found?.there !== true) return 0;
  const [row] = await database.query<{ version: number | null }>(
    'SELECT max(number) AS version FROM caracal.migrations',
  );
  return row?.version ?? 0;
}

/**
 * Resolves when the database has at least this release's migrations and the roles are as they must be. A newer schema is
 * fine: migrations stay safe beside the release before. Rejects with `store_unavailable` when the schema is still too old
 * after `waitMs`, and with an Error naming the role when row-level security would not hold.
 */
export async function requireSchema(options: SchemaCheckOptions): Promise<void> {
  const { database, clock } = options;
  const needed = (await readMigrations()).length;
  const deadlineMs = clock.monotonic() + options.waitMs;
  for (let waiting = false; ; waiting = true) {
    const found = await schemaVersion(database);
    if (found >= needed) break;
    const sentence = `the database's schema is at ${found} and this release needs ${needed}: run \`npm run migrate\``;
    if (clock.monotonic() >= deadlineMs) throw fail('store_unavailable', { privateDetail: sentence });
    if (!waiting) options.onWait?.(sentence);
    await clock.sleep(pauseMs);
  }
  await requireHarmlessRoles(database, options.service);
}

async function requireHarmlessRoles(database: Database, service: ServiceName): Promise<void> {
  const rows = await database.query<{ name: string }>(
    `SELECT rolname AS name FROM pg_roles
     WHERE (rolsuper OR rolbypassrls) AND rolname IN ($1, $2, $3, session_user)`,
    [ownerRole, serviceRole(service), loaderRole(service)],
  );
  if (rows[0] !== undefined) {
    throw new Error(`${rows[0].name} is superuser or bypasses row-level security: zones would not be kept apart`);
  }
  const [loader] = await database.query<{ inherited: boolean }>(
    `SELECT pg_has_role(session_user, $1, 'USAGE') OR pg_has_role($2, $1, 'USAGE') AS inherited`,
    [loaderRole(service), serviceRole(service)],
  );
  if (loader?.inherited !== false) {
    throw new Error(
      `${loaderRole(service)} is inherited: every transaction would see all zones. Grant it WITH INHERIT FALSE`,
    );
  }
}
