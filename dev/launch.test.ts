import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dependenciesCurrent, lockfileDigest } from './launch.mjs';
import { withLock } from './lock.mjs';
import { isRunning, processStartTime } from './process-identity.mjs';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-launch-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Entry {
  version: string;
  optional?: boolean;
}

function writeLockfile(packages: Record<string, Entry>): void {
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...packages } }));
}

function writeInstalled(packages: Record<string, Entry>): void {
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  writeFileSync(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
}

test('installs when nothing is installed', () => {
  writeLockfile({ 'node_modules/a': { version: '1.0.0' } });
  expect(dependenciesCurrent(folder)).toBe(false);
});

test('accepts what npm recorded as installed, other platforms apart', () => {
  writeLockfile({
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b-darwin': { version: '2.0.0', optional: true },
  });
  writeInstalled({ 'node_modules/a': { version: '1.0.0' } });
  expect(dependenciesCurrent(folder)).toBe(true);
});

test.each([
  ['another version', { 'node_modules/a': { version: '1.0.1' } }],
  ['a missing package', {}],
  ['a package too many', { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '1.0.0' } }],
])('installs when npm recorded %s', (_case, installed) => {
  writeLockfile({ 'node_modules/a': { version: '1.0.0' } });
  writeInstalled(installed);
  expect(dependenciesCurrent(folder)).toBe(false);
});

test('installs again when the lockfile has changed since the stamp was set', () => {
  writeLockfile({ 'node_modules/a': { version: '1.0.0' } });
  writeInstalled({ 'node_modules/a': { version: '1.0.0' } });
  writeFileSync(join(folder, 'node_modules', '.caracal-lockfile-digest'), `${lockfileDigest(folder)}\n`);
  expect(dependenciesCurrent(folder)).toBe(true);
  writeLockfile({ 'node_modules/a': { version: '1.0.1' } });
  expect(dependenciesCurrent(folder)).toBe(false);
});

test('lists its commands and refuses one that does not exist', async () => {
  const launcher = fileURLToPath(new URL('launch.mjs', import.meta.url));
  const child = spawn(process.execPath, [launcher, 'no-such-command'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(64);
  expect(output).toContain('no command "no-such-command"');
  expect(output).toContain('start the stack in the background');
});

test('knows a process by the moment it started and not by its number alone', async () => {
  const startTime = processStartTime(process.pid);
  if (startTime === undefined) throw new Error('this process has no start time');
  expect(isRunning({ pid: process.pid, startTime })).toBe(true);
  expect(isRunning({ pid: process.pid, startTime: 'another boot:1' })).toBe(false);
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  expect(processStartTime(child.pid ?? 0)).toBeUndefined();
});

test('lets one holder at a time into a lock', async () => {
  const path = join(folder, 'install.lock');
  let inside = 0;
  let most = 0;
  const waits: number[] = [];
  const enter = () =>
    withLock({ path, onWait: (pid) => waits.push(pid) }, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside -= 1;
    });
  await Promise.all([enter(), enter(), enter()]);
  expect(most).toBe(1);
  expect(waits).toContain(process.pid);
});

test('takes over the lock of a process that is gone', async () => {
  const path = join(folder, 'install.lock');
  writeFileSync(path, JSON.stringify({ pid: process.pid, startTime: 'another boot:1' }));
  const holder = await withLock({ path }, () => Promise.resolve(readFileSync(path, 'utf8')));
  expect(JSON.parse(holder)).toEqual({ pid: process.pid, startTime: processStartTime(process.pid) });
});

test('lets one of many take over a dead lock at a time', async () => {
  const path = join(folder, 'install.lock');
  writeFileSync(path, JSON.stringify({ pid: 1, startTime: 'another boot:1' }));
  let inside = 0;
  let most = 0;
  const enter = () =>
    withLock({ path }, async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside -= 1;
    });
  await Promise.all(Array.from({ length: 8 }, enter));
  expect(most).toBe(1);
});
