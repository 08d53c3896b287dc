import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processStartTime } from '../process-identity.mjs';
import { findOnPath } from './executables.ts';
import { startRedis } from './redis.ts';
import type { RunningRedis } from './redis.ts';

let folder: string;
let running: RunningRedis[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-redis-'));
});
afterEach(async () => {
  await Promise.all(running.map((server) => server.stop()));
  running = [];
  rmSync(folder, { recursive: true, force: true });
});

async function start(port?: number): Promise<RunningRedis> {
  const server = await startRedis({
    dataDirectory: join(folder, 'data'),
    logFile: join(folder, 'redis.log'),
    password: 'a"b\\c d',
    environment: process.env,
    ...(port === undefined ? {} : { port }),
  });
  running.push(server);
  return server;
}

test('keeps what it was given over a restart', async () => {
  const first = await start();
  const writer = new Redis(first.url);
  await writer.set('kept', 'yes');
  await writer.quit();
  await first.stop();
  expect(processStartTime(first.pid)).toBeUndefined();
  const second = await start(first.port);
  const reader = new Redis(second.url);
  expect(await reader.get('kept')).toBe('yes');
  await reader.quit();
});

test('evicts nothing, has the databases for streams and limits, and asks for the password', async () => {
  const server = await start();
  const client = new Redis(server.url, { db: 1 });
  expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  expect(await client.config('GET', 'appendfsync')).toEqual(['appendfsync', 'everysec']);
  await client.quit();
  const stranger = new Redis({ host: server.host, port: server.port, lazyConnect: true, enableReadyCheck: false });
  stranger.on('error', () => undefined);
  await expect(stranger.get('kept')).rejects.toThrow(/NOAUTH/);
  stranger.disconnect();
});

test('keeps the password off the command line and in a file of its owner', async () => {
  const server = await start();
  if (process.platform === 'linux') {
    expect(readFileSync(`/proc/${server.pid}/cmdline`, 'utf8')).not.toContain('a"b');
  }
  expect(statSync(join(folder, 'data', 'redis.conf')).mode & 0o077).toBe(0);
});

/** A PATH on which there is no Redis, and an apt-get that does what `script` says. */
function machineWith(script: string): Record<string, string> {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  if (script !== '') writeFileSync(join(bin, 'apt-get'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { PATH: bin, HOME: folder };
}

function startOn(environment: Record<string, string>, say: (line: string) => void = () => undefined) {
  const place = { dataDirectory: join(folder, 'data'), logFile: join(folder, 'redis.log') };
  return startRedis({ ...place, password: 'secret', environment, say });
}

test('says what to do where it is neither there nor can be installed', async () => {
  await expect(startOn(machineWith(''))).rejects.toThrow(/apt-get install redis-server.*brew install redis.*REDIS_URL/);
});

// Only root may install; everyone else is told what to do.
if (process.getuid?.() === 0) {
  test('is installed where root may do that', async () => {
    const real = findOnPath('redis-server', process.env) ?? findOnPath('valkey-server', process.env) ?? '';
    const environment = machineWith(
      `echo "$@" >> ${folder}/apt.log; case "$*" in *" install "*) /bin/ln -s ${real} ${folder}/bin/redis-server;; esac`,
    );
    const said: string[] = [];
    running.push(await startOn(environment, (line) => said.push(line)));
    expect(said).toEqual(['installing redis-server with apt-get']);
    const calls = readFileSync(join(folder, 'apt.log'), 'utf8').trim().split('\n');
    expect(calls.map((call) => call.replace(/^-o \S+ /, ''))).toEqual([
      'update -qq',
      'install -y --no-install-recommends redis-server',
    ]);
  });

  test('says why the installation failed', async () => {
    const environment = machineWith('echo "E: Unable to locate package" >&2; exit 100');
    await expect(startOn(environment)).rejects.toThrow(/Unable to locate package/);
  });
}
