/** Starts a Postgres of our own in a given data directory, on loopback, with passwords only. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess, stopProcess, waitUntilHealthy } from './child-process.ts';
import type { Environment, OnSpawn, StartedProcess, StopStep } from './child-process.ts';
import { runToEnd } from './executables.ts';
import { findFreePort } from './ports.ts';
import { findPostgresBinaries, findPostgresRunner } from './postgres-binaries.ts';
import type { PostgresRunner } from './postgres-binaries.ts';
import { takesConnections } from './postgres-probe.ts';

export interface PostgresOptions {
  /** Made and initialised when it is not there yet; kept otherwise, with the password it was made with. */
  dataDirectory: string;
  logFile: string;
  superuserPassword: string;
  environment: Environment;
  /** A free one when absent. */
  port?: number;
  /** Told of the process as soon as there is one, long before it answers. */
  onSpawn?: OnSpawn;
  /** False gives up durability for speed: for databases that are thrown away. */
  fsync?: boolean;
}

export interface RunningPostgres {
  readonly host: string;
  readonly port: number;
  /** Of the superuser `postgres`, with its password. */
  readonly administratorUrl: string;
  readonly pid: number;
  readonly process: StartedProcess;
  /** Ends all sessions and shuts down cleanly; resolves when the process is gone. */
  stop(): Promise<void>;
}

export const postgresHost = '127.0.0.1';
/** Initialising copies about 40 MB; a slow disk gets minutes. */
const initialiseLimitMilliseconds = 180_000;
/** Covers the recovery after a crash. */
const startLimitMilliseconds = 120_000;
/** Five services with their pools, the tests' clones beside them. */
const maximumConnections = 400;
/** A Unix socket's path, with its file name, fits 107 bytes on Linux and 103 on macOS. */
const socketFolderLimitBytes = 85;

/** SIGINT is Postgres' fast shutdown, SIGQUIT its immediate one (recovery at the next start). */
const postgresStop: readonly StopStep[] = [
  { signal: 'SIGINT', graceMilliseconds: 30_000 },
  { signal: 'SIGQUIT', graceMilliseconds: 5_000 },
];

/** Rejects with what is missing, or with the end of the log when the server does not come up. */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const binaries = await findPostgresBinaries(options.environment);
  const parent = join(options.dataDirectory, '..');
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const runner = await findPostgresRunner(binaries.postgres, parent, options.environment);
  rmSync(join(parent, '.probe'), { recursive: true, force: true });
  const environment = { ...options.environment, LC_ALL: 'C', TZ: 'UTC' };
  if (!existsSync(join(options.dataDirectory, 'PG_VERSION'))) {
    await initialise({ ...options, environment }, binaries.initdb, runner);
  }
  removeStaleLock(options.dataDirectory);
  const port = options.port ?? (await findFreePort());
  const [command = '', ...args] = [...runner.prefix, binaries.postgres, ...serverArguments(options, port)];
  const { logFile } = options;
  const started = await startProcess({ command, args, environment, logFile, workingDirectory: '/' });
  options.onSpawn?.(started, postgresStop);
  const stop = async (): Promise<void> => {
    await stopProcess(started, postgresStop);
  };
  try {
    const probe = (): Promise<boolean> => takesConnections(postgresHost, port);
    const limitMilliseconds = startLimitMilliseconds;
    await waitUntilHealthy({ what: 'Postgres', process: started, logFile, limitMilliseconds, probe });
  } catch (error) {
    await stop();
    throw error;
  }
  const administratorUrl = `postgres://postgres:${encodeURIComponent(options.superuserPassword)}@${postgresHost}:${port}/postgres`;
  return { host: postgresHost, port, administratorUrl, pid: started.pid, process: started, stop };
}

function serverArguments(options: PostgresOptions, port: number): string[] {
  const settings: Record<string, string> = {
    listen_addresses: postgresHost,
    port: String(port),
    unix_socket_directories:
      Buffer.byteLength(options.dataDirectory) <= socketFolderLimitBytes ? options.dataDirectory : '',
    max_connections: String(maximumConnections),
    password_encryption: 'scram-sha-256',
    // In the data directory, so that a killed server leaves nothing in /dev/shm and a container's small one suffices.
    dynamic_shared_memory_type: 'mmap',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(options.fsync === false ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
  };
  return [
    '-D',
    options.dataDirectory,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
}

async function initialise(options: PostgresOptions, initdb: string, runner: PostgresRunner): Promise<void> {
  const { dataDirectory } = options;
  // What an interrupted initialisation left has no PG_VERSION; initdb wants the folder empty.
  if (existsSync(dataDirectory) && readdirSync(dataDirectory).length > 0) rmSync(dataDirectory, { recursive: true });
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  runner.adopt(dataDirectory);
  const passwordFile = `${dataDirectory}.password`;
  writeFileSync(passwordFile, `${options.superuserPassword}\n`, { mode: 0o600 });
  runner.adopt(passwordFile);
  try {
    const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-instructions'];
    const sync = options.fsync === false ? ['--no-sync'] : [];
    const line = [...runner.prefix, initdb, '-D', dataDirectory, ...flags, ...sync, `--pwfile=${passwordFile}`];
    const [command = '', ...args] = line;
    const limits = { limitMilliseconds: initialiseLimitMilliseconds, workingDirectory: '/' };
    const result = await runToEnd(command, args, { environment: options.environment, ...limits });
    if (result.kind === 'failed') throw new Error(`initialising Postgres in ${dataDirectory}: ${result.message}`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/**
 * Postgres will not start over a lock file whose process number is in use, even by an unrelated program, which happens
 * in a restarted container. Removes the file only when that process is certainly no Postgres.
 */
function removeStaleLock(dataDirectory: string): void {
  const lock = join(dataDirectory, 'postmaster.pid');
  try {
    const pid = Number(readFileSync(lock, 'utf8').split('\n')[0]);
    const command = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    if (!/^(postgres|postmaster)/.test(command)) rmSync(lock);
  } catch {
    // No lock file, no such process or no /proc: Postgres' own judgement stands.
  }
}
