/** The table of a stack's parts: which process each is, where it listens, in which stage it starts. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { services } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';
import type { Environment } from '../components/child-process.ts';
import { startOpa } from '../components/opa.ts';
import { findPostgresBinaries, postgresRelease } from '../components/postgres-binaries.ts';
import { postgresHost, startPostgres } from '../components/postgres.ts';
import { startRedis } from '../components/redis.ts';
import { serviceExists, startService } from '../components/service.ts';
import { loginUrls, withDatabase } from '../database.ts';
import { listenHost, publicUrl, serviceEnvironment } from '../environment.ts';
import type { Stack, StackAddresses } from '../environment.ts';
import type { InstallationSecrets } from '../secrets.ts';
import type { Layout } from './layout.ts';
import type { StackPorts } from './stack-ports.ts';
import type { Part } from './supervision.ts';

export interface PartsOptions {
  layout: Layout;
  ports: StackPorts;
  secrets: InstallationSecrets;
  environment: Environment;
  say: (message: string) => void;
  signal: AbortSignal;
  /** OPA's program, where it is at hand. */
  opaBinary?: string | undefined;
}

/** Of the stack's own Postgres; a DATABASE_URL names its own. */
const databaseName = 'caracal';

/**
 * The later a service is here, the earlier it is stopped: those that callers reach go before those that they depend on.
 */
const serviceStages: readonly (readonly ServiceName[])[] = [
  ['sts', 'audit'],
  ['gateway', 'api', 'coordinator'],
];

/** The stores and OPA, except those that the environment names. */
export async function componentParts(options: PartsOptions): Promise<Part[]> {
  const { environment } = options;
  const parts: Part[] = [];
  if (!isSet(environment['DATABASE_URL'])) parts.push(await postgresPart(options));
  if (!isSet(environment['REDIS_URL'])) parts.push(redisPart(options));
  if (!isSet(environment['OPA_URL'])) parts.push(opaPart(options));
  return parts;
}

async function postgresPart({ layout, ports, secrets, environment }: PartsOptions): Promise<Part> {
  const { postgres } = await findPostgresBinaries(environment);
  const dataDirectory = join(layout.state, `postgres-${await postgresRelease(postgres, environment)}`);
  const logFile = join(layout.logFolder, 'postgres.log');
  const settings = { dataDirectory, logFile, superuserPassword: secrets.postgresPassword, environment };
  return {
    name: 'postgres',
    address: `${postgresHost}:${ports.postgres}`,
    logFile,
    start: (onSpawn) => startPostgres({ ...settings, port: ports.postgres, onSpawn }),
  };
}

function redisPart({ layout, ports, secrets, environment, say }: PartsOptions): Part {
  const logFile = join(layout.logFolder, 'redis.log');
  const dataDirectory = join(layout.state, 'redis');
  const settings = { dataDirectory, logFile, password: secrets.redisPassword, environment, say };
  return {
    name: 'redis',
    address: `${listenHost}:${ports.redis}`,
    logFile,
    start: (onSpawn) => startRedis({ ...settings, port: ports.redis, onSpawn }),
  };
}

function opaPart({ layout, ports, secrets, environment, say, signal }: PartsOptions): Part {
  const logFile = join(layout.logFolder, 'opa.log');
  const settings = {
    dataDirectory: join(layout.state, 'opa'),
    logFile,
    token: secrets.opaToken,
    environment,
    say,
    signal,
  };
  return {
    name: 'opa',
    address: `${listenHost}:${ports.opa}`,
    logFile,
    start: (onSpawn) => startOpa({ ...settings, port: ports.opa, onSpawn }),
  };
}

/** Of whoever administers the database that the services use. */
export function administratorUrl({ environment, ports, secrets }: PartsOptions): string {
  const given = environment['DATABASE_URL'];
  if (isSet(given)) return given;
  return withDatabase(
    `postgres://postgres:${secrets.postgresPassword}@${postgresHost}:${ports.postgres}/`,
    databaseName,
  );
}

/** The services that exist, in stages. */
export function servicePartStages(options: PartsOptions, stack: Stack): Part[][] {
  const exists = (name: ServiceName): boolean => serviceExists(options.layout.root, name);
  return serviceStages.map((stage) => stage.filter(exists).map((name) => servicePart(name, options, stack)));
}

function servicePart(name: ServiceName, { layout, ports }: PartsOptions, stack: Stack): Part {
  const logFile = join(layout.logFolder, `${name}.log`);
  const environment = serviceEnvironment(name, stack);
  return {
    name,
    address: publicUrl(ports[name]),
    logFile,
    start: (onSpawn) => {
      const journal = environment['AUDIT_REPLAY_DIR'];
      if (journal !== undefined) mkdirSync(journal, { recursive: true, mode: 0o700 });
      return startService({ name, root: layout.root, environment, logFile, onSpawn });
    },
  };
}

/** Where everything of the stack is, from the ports, the secrets and what the environment names instead. */
export function describeStack(options: PartsOptions): Stack {
  const { environment, layout, ports, secrets } = options;
  const { REDIS_URL: redis, OPA_URL: opa } = environment;
  const addresses: StackAddresses = {
    ports,
    databaseUrls: loginUrls(administratorUrl(options), secrets.loginPassword),
    redisUrl: isSet(redis) ? redis : `redis://:${secrets.redisPassword}@${listenHost}:${ports.redis}`,
    opaUrl: isSet(opa) ? opa : `http://${listenHost}:${ports.opa}`,
    opaToken: isSet(opa) ? (environment['OPA_TOKEN'] ?? '') : secrets.opaToken,
    opaBinary: options.opaBinary,
    upstreamPort: ports.upstream,
  };
  return { secrets, addresses, files: layout, inherited: environment };
}

/** The URLs that a person is told. */
export function serviceUrls(layout: Layout, ports: StackPorts): Record<string, string> {
  const existing = services.filter((name) => serviceExists(layout.root, name));
  return Object.fromEntries(existing.map((name) => [name, publicUrl(ports[name])]));
}

/** An empty variable counts as none. */
export function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}
