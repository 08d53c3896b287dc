/** Finds or installs a Redis server and starts it in a given data directory, on loopback, with a password. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { withLock } from '../lock.mjs';
import { cacheFolder } from './cache-folder.ts';
import { startProcess, stopProcess, waitUntilHealthy } from './child-process.ts';
import type { Environment, OnSpawn, StartedProcess, StopStep } from './child-process.ts';
import { findOnPath, isExecutable, runToEnd } from './executables.ts';
import { findFreePort } from './ports.ts';

export interface RedisOptions {
  dataDirectory: string;
  logFile: string;
  password: string;
  environment: Environment;
  /** A free one when absent. */
  port?: number;
  /** Told of the process as soon as there is one, long before it answers. */
  onSpawn?: OnSpawn;
  /** False keeps everything in memory alone: for data that is thrown away. */
  durable?: boolean;
  /** Told about steps that take long. */
  say?: (message: string) => void;
}

export interface RunningRedis {
  readonly host: string;
  readonly port: number;
  /** With the password, without a database number. */
  readonly url: string;
  readonly pid: number;
  readonly process: StartedProcess;
  stop(): Promise<void>;
}

const redisHost = '127.0.0.1';
/** Covers reading a large append-only file. */
const startLimitMilliseconds = 60_000;
const answerLimitMilliseconds = 1_000;
const installLimitMilliseconds = 300_000;
/** db0 carries streams, db1 rate limits; tests take a pair each. */
const databases = 256;

const redisStop: readonly StopStep[] = [{ signal: 'SIGTERM', graceMilliseconds: 10_000 }];

/** Rejects with what is missing, or with the end of the log when the server does not come up. */
export async function startRedis(options: RedisOptions): Promise<RunningRedis> {
  const command = await findRedis(options.environment, options.say);
  const port = options.port ?? (await findFreePort());
  mkdirSync(options.dataDirectory, { recursive: true, mode: 0o700 });
  // In a file, because a command line is readable by every account of the machine.
  const configuration = join(options.dataDirectory, 'redis.conf');
  writeFileSync(configuration, redisConfiguration(options, port), { mode: 0o600 });
  const { environment, logFile } = options;
  const started = await startProcess({ command, args: [configuration], environment, logFile });
  options.onSpawn?.(started, redisStop);
  const stop = async (): Promise<void> => {
    await stopProcess(started, redisStop);
  };
  try {
    const probe = (): Promise<boolean> => answersPing(port, options.password);
    const limitMilliseconds = startLimitMilliseconds;
    await waitUntilHealthy({ what: 'Redis', process: started, logFile, limitMilliseconds, probe });
  } catch (error) {
    await stop();
    throw error;
  }
  const url = `redis://:${encodeURIComponent(options.password)}@${redisHost}:${port}`;
  return { host: redisHost, port, url, pid: started.pid, process: started, stop };
}

/** Directives that Redis 7.0 and Valkey know alike. */
function redisConfiguration(options: RedisOptions, port: number): string {
  const durable = options.durable ?? true;
  const lines = [
    `bind ${redisHost}`,
    `port ${port}`,
    'protected-mode yes',
    'daemonize no',
    `dir ${quoted(options.dataDirectory)}`,
    `requirepass ${quoted(options.password)}`,
    `databases ${databases}`,
    'maxmemory-policy noeviction',
    `appendonly ${durable ? 'yes' : 'no'}`,
    'appendfsync everysec',
    'save ""',
  ];
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** Speaks just enough of the protocol (inline commands) to know that commands are served to who has the password. */
async function answersPing(port: number, password: string): Promise<boolean> {
  const socket = connect({ host: redisHost, port });
  socket.setTimeout(answerLimitMilliseconds, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'connect');
    socket.write(`AUTH ${quoted(password)}\r\nPING\r\n`);
    let answer = '';
    while (answer.split('\r\n').length < 3) {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      answer += chunk.toString('latin1');
    }
    return answer.startsWith('+OK\r\n+PONG');
  } finally {
    socket.destroy();
  }
}

/** A Redis or Valkey server on PATH, else one installed by apt where root may do that. */
async function findRedis(environment: Environment, say?: (message: string) => void): Promise<string> {
  const present = onPath(environment);
  if (present !== undefined) return present;
  const apt = findOnPath('apt-get', environment);
  if (apt !== undefined && process.getuid?.() === 0) {
    await installRedis(apt, environment, say);
    const installed = onPath(environment) ?? ['/usr/bin/redis-server'].find(isExecutable);
    if (installed !== undefined) return installed;
  }
  throw new Error(
    'there is no redis-server or valkey-server on PATH; install one (Debian, Ubuntu: apt-get install redis-server, ' +
      'macOS: brew install redis), or set REDIS_URL to a Redis 7.0 or newer with maxmemory-policy noeviction',
  );
}

function onPath(environment: Environment): string | undefined {
  return findOnPath('redis-server', environment) ?? findOnPath('valkey-server', environment);
}

/**
 * Concurrent starts share one installation. The package may start a service of its own; where there is an init system
 * to do that, the service is turned off again, because only we asked for the package and need none.
 */
async function installRedis(apt: string, environment: Environment, say?: (message: string) => void): Promise<void> {
  const path = join(cacheFolder(environment), 'redis-install.lock');
  const onWait = (): void => say?.('another start is installing redis-server, waiting for it');
  await withLock({ path, onWait }, async () => {
    if (onPath(environment) !== undefined) return;
    say?.('installing redis-server with apt-get');
    const limits = {
      environment: { ...environment, DEBIAN_FRONTEND: 'noninteractive' },
      limitMilliseconds: installLimitMilliseconds,
    };
    const wait = ['-o', 'DPkg::Lock::Timeout=120'];
    await runToEnd(apt, [...wait, 'update', '-qq'], limits);
    const install = [...wait, 'install', '-y', '--no-install-recommends', 'redis-server'];
    const result = await runToEnd(apt, install, limits);
    if (result.kind === 'failed') throw new Error(`apt-get install redis-server: ${result.message}`);
    const systemctl = findOnPath('systemctl', environment);
    if (systemctl !== undefined) await runToEnd(systemctl, ['disable', '--now', 'redis-server'], limits);
  });
}
