// Makes what belongs to the cluster and not to a numbered migration: the database, the roles, who may put on which role.
// It runs as an administrator, again and again without changing what is right already, and side by side with itself.
import { setTimeout as wait } from 'node:timers/promises';
import { services, type ServiceName } from '#mesh/topology';
import pg from 'pg';
import { oldestServerVersion, serverVersion } from './server-version.ts';
import { loaderRole, loginRole, ownerRole, serviceRole } from './roles.ts';
import { scramVerifier } from './scram.ts';

export interface BootstrapOptions {
  /** Makes (or gives a new password to) the login user of each service named here. */
  readonly loginPasswords?: Partial<Record<ServiceName, string>> | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

/** From 16 on a membership says for itself whether it is inherited; before, the member's role does. */
const membershipOptionsSince = 160_000;

/** Two bootstraps of one cluster collide on the catalogue's rows; each collision means that the other one got further. */
const attemptsAtMost = 20;
const collisionPauseMs = 50;
const collisions: ReadonlySet<string> = new Set(['23505', '42710', '42P04', 'XX000', '40P01']);

/**
 * Brings the cluster and the database of `administratorUrl` to where migrations can run: creates the database when it is
 * missing, the owner, the five service roles and their loaders, and their memberships. Idempotent. Throws when the server
 * is older than 15, or when a role exists with powers that would make row-level security worthless.
 */
export async function bootstrap(administratorUrl: string, options: BootstrapOptions = {}): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await bootstrapOnce(administratorUrl, options);
      return;
    } catch (error) {
      if (attempt >= attemptsAtMost || !isCollision(error)) throw error;
      await wait(collisionPauseMs * attempt);
    }
  }
}

function isCollision(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError) || !collisions.has(error.code ?? '')) return false;
  return error.code !== 'XX000' || error.message.startsWith('tuple concurrently');
}

async function bootstrapOnce(administratorUrl: string, options: BootstrapOptions): Promise<void> {
  const log = options.log ?? (() => {});
  await ensureDatabase(administratorUrl, log);
  await using session = await connect(administratorUrl);
  const { client } = session;
  const version = await serverVersion(client);
  if (version < oldestServerVersion) throw new Error(`Postgres 15 or newer is needed, this server reports ${version}`);
  const cluster: Cluster = { client, version, log };
  await ensureRoles(cluster);
  await ensureDatabaseGrants(cluster);
  for (const service of services) {
    const password = options.loginPasswords?.[service];
    if (password !== undefined) await ensureLogin(cluster, service, password);
  }
}

interface Cluster {
  readonly client: pg.Client;
  readonly version: number;
  readonly log: (line: string) => void;
}

async function connect(url: string): Promise<AsyncDisposable & { client: pg.Client }> {
  const client = new pg.Client({ connectionString: url, application_name: 'caracal-bootstrap' });
  client.on('error', () => {});
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/** Creates the database that the address names, from the one every cluster has. */
async function ensureDatabase(administratorUrl: string, log: (line: string) => void): Promise<void> {
  try {
    const session = await connect(administratorUrl);
    await session[Symbol.asyncDispose]();
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '3D000') throw error;
    const url = new URL(administratorUrl);
    const name = decodeURIComponent(url.pathname.slice(1));
    url.pathname = '/postgres';
    await using session = await connect(url.href);
    await session.client.query(`CREATE DATABASE ${session.client.escapeIdentifier(name)}`);
    log(`created database ${name}`);
  }
}

async function ensureRoles(cluster: Cluster): Promise<void> {
  // The owner is a member of the loaders only to hand functions over to them, and must not see what they see.
  await ensureRole(cluster, ownerRole, 'NOLOGIN NOINHERIT');
  for (const service of services) {
    await ensureRole(cluster, serviceRole(service), 'NOLOGIN');
    await ensureRole(cluster, loaderRole(service), 'NOLOGIN');
    await ensureMembership(cluster, { role: loaderRole(service), member: ownerRole, inherit: false });
  }
  const { rows } = await cluster.client.query<{ name: string; superuser: boolean }>(
    'SELECT rolname AS name, rolsuper AS superuser FROM pg_roles WHERE rolname = current_user',
  );
  const administrator = rows[0];
  if (administrator?.superuser === false) {
    await ensureMembership(cluster, { role: ownerRole, member: administrator.name, inherit: false });
  }
}

async function ensureRole({ client, log }: Cluster, name: string, attributes: string): Promise<void> {
  const { rows } = await client.query<{ dangerous: boolean; login: boolean; inherit: boolean }>(
    `SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication AS dangerous, rolcanlogin AS login, rolinherit AS inherit
     FROM pg_roles WHERE rolname = $1`,
    [name],
  );
  const found = rows[0];
  if (found === undefined) {
    await client.query(`CREATE ROLE ${client.escapeIdentifier(name)} ${attributes}`);
    log(`created role ${name}`);
    return;
  }
  const mayLogin = !attributes.includes('NOLOGIN');
  if (found.dangerous || found.login !== mayLogin) {
    throw new Error(
      `role ${name} exists with attributes that Caracal's roles must not have: drop it, or use another cluster`,
    );
  }
  if (found.inherit === attributes.includes('NOINHERIT')) {
    await client.query(`ALTER ROLE ${client.escapeIdentifier(name)} ${attributes}`);
  }
}

interface Membership {
  readonly role: string;
  readonly member: string;
  /** Whether the member has the role's rights without putting it on. On 15 the member's own NOINHERIT decides. */
  readonly inherit: boolean;
}

async function ensureMembership({ client, version, log }: Cluster, membership: Membership): Promise<void> {
  const { role, member, inherit } = membership;
  const perMembership = version >= membershipOptionsSince;
  const { rows } = await client.query<{ right: boolean }>(
    `SELECT coalesce(bool_and(${perMembership ? 'm.inherit_option = $3 AND m.set_option' : '$3::boolean IS NOT NULL'}), false) AS right
     FROM pg_auth_members AS m
     WHERE m.roleid = (SELECT oid FROM pg_roles WHERE rolname = $1)
       AND m.member = (SELECT oid FROM pg_roles WHERE rolname = $2)
       ${perMembership ? 'AND (m.inherit_option OR m.set_option)' : ''}`,
    [role, member, inherit],
  );
  if (rows[0]?.right === true) return;
  const terms = perMembership ? ` WITH INHERIT ${inherit ? 'TRUE' : 'FALSE'}, SET TRUE` : '';
  await client.query(`GRANT ${client.escapeIdentifier(role)} TO ${client.escapeIdentifier(member)}${terms}`);
  log(`made ${member} a member of ${role}`);
}

/** Only Caracal's roles may connect to its database. */
async function ensureDatabaseGrants({ client }: Cluster): Promise<void> {
  const { rows } = await client.query<{ name: string; open: boolean; granted: boolean }>(
    `SELECT current_database() AS name,
       EXISTS (SELECT FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
               WHERE d.datname = current_database() AND a.grantee = 0) AS open,
       has_database_privilege($1, current_database(), 'CREATE') AND
       (SELECT bool_and(has_database_privilege(r, current_database(), 'CONNECT')) FROM unnest($2::text[]) AS r) AS granted`,
    [ownerRole, [ownerRole, ...services.map(serviceRole)]],
  );
  const database = rows[0];
  if (database === undefined || (!database.open && database.granted)) return;
  const name = client.escapeIdentifier(database.name);
  await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
  await client.query(`GRANT CONNECT, CREATE ON DATABASE ${name} TO ${ownerRole}`);
  await client.query(`GRANT CONNECT ON DATABASE ${name} TO ${services.map(serviceRole).join(', ')}`);
}

/** Makes a login user that is the service and may put on its loader's role for a transaction. */
async function ensureLogin(cluster: Cluster, service: ServiceName, password: string): Promise<void> {
  const { client, version } = cluster;
  const name = loginRole(service);
  const perMembership = version >= membershipOptionsSince;
  await ensureRole(cluster, name, perMembership ? 'LOGIN INHERIT' : 'LOGIN NOINHERIT');
  await client.query(
    `ALTER ROLE ${client.escapeIdentifier(name)} PASSWORD ${client.escapeLiteral(scramVerifier(password))}`,
  );
  await ensureMembership(cluster, { role: serviceRole(service), member: name, inherit: true });
  await ensureMembership(cluster, { role: loaderRole(service), member: name, inherit: false });
  // Before 16 the login inherits nothing, the right to connect included.
  const database = client.escapeIdentifier(client.database ?? '');
  const { rows } = await client.query<{ connects: boolean }>(
    `SELECT has_database_privilege($1, current_database(), 'CONNECT') AS connects`,
    [name],
  );
  if (rows[0]?.connects !== true) {
    await client.query(`GRANT CONNECT ON DATABASE ${database} TO ${client.escapeIdentifier(name)}`);
  }
}
