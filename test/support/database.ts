/** A migrated database that belongs to one test: a clone of a template that is made once per server and schema. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { ServiceName } from '#mesh/topology';
import { loginUrls, prepareDatabase, withDatabase } from '../../dev/database.ts';
import { testPostgres } from './stack.ts';

export interface DisposableDatabase extends AsyncDisposable {
  readonly name: string;
  /** Of the server's administrator, whom no row-level security binds. */
  readonly administratorUrl: string;
  /** Of each service's own login, `caracal_<service>_login`. */
  readonly urls: Readonly<Record<ServiceName, string>>;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** The advisory lock under which a template is made; any number that nothing else in a test cluster uses. */
const templateLock = 7_202_611;

/** Clones the template on `server`, the run's ordinary one unless told otherwise; dropped when disposed. */
export async function disposableDatabase(server = testPostgres()): Promise<DisposableDatabase> {
  const { administratorUrl } = server;
  const loginPassword = derivedPassword(administratorUrl);
  const template = await ensureTemplate(administratorUrl, loginPassword);
  const name = `caracal_test_${randomBytes(6).toString('hex')}`;
  await asAdministrator(administratorUrl, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  const ownUrl = withDatabase(administratorUrl, name);
  return {
    name,
    administratorUrl: ownUrl,
    urls: loginUrls(ownUrl, loginPassword),
    [Symbol.asyncDispose]: () =>
      asAdministrator(administratorUrl, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}

/** An empty database without schema or roles of its own, for tests of bootstrap and migrations themselves. */
export async function emptyDatabase(server = testPostgres()): Promise<{ administratorUrl: string } & AsyncDisposable> {
  const { administratorUrl } = server;
  const name = `caracal_test_${randomBytes(6).toString('hex')}`;
  await asAdministrator(administratorUrl, (client) => client.query(`CREATE DATABASE ${name}`));
  return {
    administratorUrl: withDatabase(administratorUrl, name),
    [Symbol.asyncDispose]: () =>
      asAdministrator(administratorUrl, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}

/** Login users belong to the whole server: every run that shares it has to arrive at the same password. */
function derivedPassword(administratorUrl: string): string {
  return createHmac('sha256', administratorUrl).update('login users of tests').digest('hex');
}

/** Templates this process has seen finished. */
const finished = new Set<string>();

async function ensureTemplate(administratorUrl: string, loginPassword: string): Promise<string> {
  const name = `caracal_template_${migrationsDigest()}`;
  const key = `${administratorUrl} ${name}`;
  if (finished.has(key)) return name;
  await asAdministrator(administratorUrl, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [templateLock]);
    const found = await client.query<{ datistemplate: boolean }>(
      'SELECT datistemplate FROM pg_database WHERE datname = $1',
      [name],
    );
    // Marked as a template at the very end, so an unmarked one was left half made.
    if (found.rows[0]?.datistemplate === true) return;
    await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${name}`);
    await prepareDatabase({ administratorUrl: withDatabase(administratorUrl, name), loginPassword, root });
    await client.query(`ALTER DATABASE ${name} WITH IS_TEMPLATE true`);
  });
  finished.add(key);
  return name;
}

function migrationsDigest(): string {
  const folder = join(root, 'migrations');
  const hash = createHash('sha256');
  for (const file of readdirSync(folder).toSorted()) hash.update(`${file}\0`).update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

async function asAdministrator<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
