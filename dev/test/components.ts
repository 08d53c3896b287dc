/** Starts the throw-away components of one test run, except those that the environment names. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment, OnSpawn } from '../components/child-process.ts';
import { findOpa } from '../components/opa-binary.ts';
import { startOpa } from '../components/opa.ts';
import { startPostgres } from '../components/postgres.ts';
import { startRedis } from '../components/redis.ts';
import { makeSecrets } from '../secrets.ts';
import { isSet } from '../stack/parts.ts';
import type { PostgresEndpoint, TestEndpoints } from './endpoints.ts';
import { recordProcess } from './run-folder.ts';

export interface ComponentsOptions {
  runFolder: string;
  environment: Environment;
  /** Run everything on Debian's Postgres 15. */
  oldestPostgres: boolean;
  say: (message: string) => void;
  signal: AbortSignal;
}

/** Where Debian keeps the oldest release that is supported. */
const debianFolder = '/usr/lib/postgresql/15/bin';

/**
 * Every started process is written down in the run folder before it answers; whoever removes that folder ends them.
 */
export async function startComponents(options: ComponentsOptions): Promise<TestEndpoints> {
  const secrets = makeSecrets();
  const onSpawn: OnSpawn = (process) => recordProcess(options.runFolder, process);
  const { environment, runFolder, say, signal } = options;
  const place = (name: string): { dataDirectory: string; logFile: string } => ({
    dataDirectory: join(runFolder, name),
    logFile: join(runFolder, 'log', `${name}.log`),
  });
  const redis = async (): Promise<string> => {
    const given = environment['REDIS_URL'];
    if (isSet(given)) return given;
    const started = { ...place('redis'), password: secrets.redisPassword, environment, durable: false, say, onSpawn };
    return (await startRedis(started)).url;
  };
  const opa = async (): Promise<TestEndpoints['opa']> => {
    const given = environment['OPA_URL'];
    if (isSet(given)) {
      return { url: given, token: environment['OPA_TOKEN'] ?? '', binary: environment['OPA_BINARY'] };
    }
    const { url, token } = await startOpa({
      ...place('opa'),
      token: secrets.opaToken,
      environment,
      say,
      signal,
      onSpawn,
    });
    return { url, token, binary: await findOpa({ environment, say, signal }) };
  };
  const servers = postgresServers(options).map(async ({ name, folder, given }): Promise<PostgresEndpoint> => {
    if (given !== undefined) return { name, administratorUrl: given };
    const { administratorUrl } = await startPostgres({
      ...place(folder === undefined ? 'postgres' : 'postgres-15'),
      superuserPassword: secrets.postgresPassword,
      environment: folder === undefined ? environment : { ...environment, CARACAL_POSTGRES_BIN: folder },
      fsync: false,
      onSpawn,
    });
    return { name, administratorUrl };
  });
  const [redisUrl, opaEndpoint, [first, ...others]] = await Promise.all([redis(), opa(), Promise.all(servers)]);
  if (first === undefined) throw new Error('no Postgres was chosen');
  return { runFolder, postgres: [first, ...others], redisUrl, opa: opaEndpoint };
}

interface PostgresServer {
  name: string;
  folder?: string;
  given?: string;
}

/** The ordinary server, and the oldest supported release beside it where Debian's package is installed. */
function postgresServers({ environment, oldestPostgres }: ComponentsOptions): PostgresServer[] {
  const oldest = { name: '15', folder: debianFolder };
  const hasOldest = existsSync(join(debianFolder, 'postgres'));
  if (oldestPostgres) {
    if (!hasOldest)
      throw new Error(`there is no Postgres 15 in ${debianFolder} (Debian: apt-get install postgresql-15)`);
    return [oldest];
  }
  const given = environment['DATABASE_URL'];
  if (isSet(given)) return [{ name: 'given', given }];
  return [{ name: '18' }, ...(hasOldest ? [oldest] : [])];
}
