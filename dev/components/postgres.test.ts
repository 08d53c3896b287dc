import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processStartTime } from '../process-identity.mjs';
import { startPostgres } from './postgres.ts';
import type { RunningPostgres } from './postgres.ts';

const debianFolder = '/usr/lib/postgresql/15/bin';
const versions = ['packaged', ...(existsSync(debianFolder) ? ['Debian 15'] : [])];
let folder: string;
let running: RunningPostgres[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-postgres-'));
});
afterEach(async () => {
  await Promise.all(running.map((server) => server.stop()));
  running = [];
  rmSync(folder, { recursive: true, force: true });
});

async function start(
  version: string,
  options: { environment?: Record<string, string>; port?: number; fsync?: boolean } = {},
) {
  const server = await startPostgres({
    dataDirectory: join(folder, 'data'),
    logFile: join(folder, 'postgres.log'),
    superuserPassword: 'a b/c:d@e',
    environment: {
      ...process.env,
      ...(version === 'Debian 15' ? { CARACAL_POSTGRES_BIN: debianFolder } : {}),
      ...options.environment,
    },
    fsync: options.fsync ?? false,
    ...(options.port === undefined ? {} : { port: options.port }),
  });
  running.push(server);
  return server;
}

async function ask(url: string, statement: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query<{ answer: unknown }>(statement);
    return result.rows[0]?.answer;
  } finally {
    await client.end();
  }
}

test.each(versions)('starts a %s Postgres that keeps its data over a restart', async (version) => {
  const first = await start(version);
  await ask(first.administratorUrl, `create table kept as select 'yes' as answer`);
  await first.stop();
  expect(processStartTime(first.pid)).toBeUndefined();
  const second = await start(version, { port: first.port });
  expect(await ask(second.administratorUrl, 'select answer from kept')).toBe('yes');
});

test('starts again after a kill', async () => {
  const first = await start('packaged', { fsync: true });
  await ask(first.administratorUrl, `create table kept as select 'yes' as answer`);
  process.kill(first.pid, 'SIGKILL');
  await first.process.exited;
  const second = await start('packaged');
  expect(await ask(second.administratorUrl, 'select count(*)::int as answer from kept')).toBe(1);
});

test('asks for the password, on loopback alone, and keeps others out of its files', async () => {
  const server = await start('packaged');
  const url = new URL(server.administratorUrl);
  url.password = 'wrong';
  await expect(ask(url.href, 'select 1')).rejects.toThrow(/password authentication failed/);
  expect(await ask(server.administratorUrl, `select current_setting('listen_addresses') as answer`)).toBe('127.0.0.1');
  expect(statSync(join(folder, 'data')).mode & 0o077).toBe(0);
  expect(existsSync(join(folder, 'data.password'))).toBe(false);
});

test('names the remedy when the binaries are missing', async () => {
  await expect(start('packaged', { environment: { CARACAL_POSTGRES_BIN: folder } })).rejects.toThrow(/DATABASE_URL/);
});

const account = process.getuid?.() === 0 ? 'root' : 'an ordinary user';
test(`runs for ${account} without user namespaces too`, async () => {
  const withoutUnshare = join(folder, 'bin');
  execFileSync('mkdir', [withoutUnshare]);
  for (const name of ['setpriv', 'sh']) execFileSync('ln', ['-s', `/usr/bin/${name}`, join(withoutUnshare, name)]);
  const server = await start('packaged', { environment: { PATH: withoutUnshare } });
  expect(await ask(server.administratorUrl, 'select 1 as answer')).toBe(1);
});
