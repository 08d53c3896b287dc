import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isRunning, processStartTime } from '../process-identity.mjs';
import type { ProcessIdentity } from '../process-identity.mjs';
import { makeRunFolder, recordProcess, removeLeftovers, removeRunFolder } from './run-folder.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'caracal-runs-'));
});
afterEach(() => {
  rmSync(base, { recursive: true, force: true });
});

async function sleeper(): Promise<ProcessIdentity> {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  return { pid, startTime: processStartTime(pid) ?? '' };
}

test('ends the processes of a run with its folder', async () => {
  const folder = makeRunFolder(base);
  const identity = await sleeper();
  recordProcess(folder, identity);
  await removeRunFolder(folder);
  expect(isRunning(identity)).toBe(false);
  expect(existsSync(folder)).toBe(false);
});

test('leaves the runs of living processes alone and clears up after dead ones', async () => {
  const folder = makeRunFolder(base);
  const identity = await sleeper();
  recordProcess(folder, identity);
  await removeLeftovers(base);
  expect(isRunning(identity)).toBe(true);
  const owner = JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'owner.json'), JSON.stringify({ ...owner, startTime: 'another boot:1' }));
  await removeLeftovers(base);
  expect(isRunning(identity)).toBe(false);
  expect(existsSync(folder)).toBe(false);
});

test('does not end a process that has only the number of a recorded one', async () => {
  const folder = makeRunFolder(base);
  const identity = await sleeper();
  recordProcess(folder, { ...identity, startTime: 'another boot:1' });
  await removeRunFolder(folder);
  expect(isRunning(identity)).toBe(true);
  process.kill(identity.pid);
});

test('clears up a folder whose removal was cut off', async () => {
  const folder = makeRunFolder(base);
  rmSync(join(folder, 'owner.json'));
  await removeLeftovers(base);
  expect(existsSync(folder)).toBe(true);
  const longAgo = new Date(Date.now() - 3_600_000);
  utimesSync(folder, longAgo, longAgo);
  await removeLeftovers(base);
  expect(existsSync(folder)).toBe(false);
});
