import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processStartTime } from '../process-identity.mjs';
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
