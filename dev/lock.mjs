/**
 * A lock between processes of one machine, kept as a file that names its holder; a dead holder's lock is taken over.
 * It stands alone, in plain JavaScript, because the launcher needs it before any dependency is installed.
 */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, processStartTime } from './process-identity.mjs';

/** How often a waiter looks again: short beside an installation or a build, cheap beside both. */
const pollMilliseconds = 250;
/** Taking over is a handful of file calls; a mark older than this was left by a process that died during them. */
const takeoverLimitMilliseconds = 10_000;

/**
 * Runs `action` while holding the lock at `path`; waits as long as another live process holds it.
 * @template T
 * @param {{ path: string; onWait?: (holderPid: number) => void; signal?: AbortSignal }} options `onWait` is called once,
 *   at the first wait; aborting `signal` gives up waiting.
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withLock(options, action) {
  mkdirSync(dirname(options.path), { recursive: true });
  let told = false;
  while (!tryLock(options.path)) {
    const holder = readHolder(options.path);
    if (!told && holder !== undefined) {
      told = true;
      options.onWait?.(holder.pid);
    }
    await sleep(pollMilliseconds, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
  try {
    return await action();
  } finally {
    rmSync(options.path, { force: true });
  }
}

/** @param {string} path */
function tryLock(path) {
  if (create(path)) return true;
  const holder = readHolder(path);
  if (holder !== undefined && isRunning(holder)) return false;
  if (holder === undefined && ageMilliseconds(path) < takeoverLimitMilliseconds) return false;
  removeDeadLock(path, holder);
  return create(path);
}

/**
 * Of several waiters that see the same dead holder one removes the file: the others could otherwise remove the lock
 * that the first has taken since.
 * @param {string} path
 * @param {{ pid: number; startTime: string } | undefined} dead
 */
function removeDeadLock(path, dead) {
  const mark = `${path}.takeover`;
  if (!create(mark)) {
    if (ageMilliseconds(mark) > takeoverLimitMilliseconds) rmSync(mark, { force: true });
    return;
  }
  try {
    const current = readHolder(path);
    if (current?.pid === dead?.pid && current?.startTime === dead?.startTime) rmSync(path, { force: true });
  } finally {
    rmSync(mark, { force: true });
  }
}

/** @param {string} path */
function create(path) {
  try {
    const holder = { pid: process.pid, startTime: processStartTime(process.pid) };
    writeFileSync(path, JSON.stringify(holder), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * @param {string} path
 * @returns {{ pid: number; startTime: string } | undefined}
 */
function readHolder(path) {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8'));
    return typeof holder?.pid === 'number' && typeof holder?.startTime === 'string' ? holder : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} path */
function ageMilliseconds(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
