/**
 * The folder of one test run and the processes that belong to it. It stands alone because a run that was killed leaves
 * both behind, and the next run has to find and end them.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stopProcess } from '../components/child-process.ts';
import type { StopStep } from '../components/child-process.ts';
import { isRunning, processStartTime } from '../process-identity.mjs';
import type { ProcessIdentity } from '../process-identity.mjs';
import { bringDown } from '../stack/control.ts';
import { stackLayout } from '../stack/layout.ts';

/**
 * What belongs to a run is thrown away: it gets a moment to end by itself and no more. SIGINT comes first because it is
 * the one on which a Postgres does not wait for its clients.
 */
const endSteps: readonly StopStep[] = [
  { signal: 'SIGINT', graceMilliseconds: 4_000 },
  { signal: 'SIGTERM', graceMilliseconds: 1_000 },
];

/** A folder without an owner is being made, or its removal was cut off; making one takes milliseconds. */
const halfMadeMilliseconds = 60_000;

/** Makes the folder of this process' run below `base`. */
export function makeRunFolder(base: string): string {
  const folder = join(base, `run-${process.pid}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'processes'), { recursive: true, mode: 0o700 });
  const owner = { pid: process.pid, startTime: processStartTime(process.pid) };
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(owner));
  return folder;
}

/** Writes a process down as belonging to the run, so that it ends with it whatever happens. */
export function recordProcess(folder: string, identity: ProcessIdentity): void {
  const { pid, startTime } = identity;
  const path = join(folder, 'processes', `${pid}.json`);
  if (existsSync(join(folder, 'processes'))) writeFileSync(path, JSON.stringify({ pid, startTime }));
}

/** Below the run folder: the folders of stacks that tests start with a supervisor of their own. */
export const stacksFolder = 'stacks';

/** Ends every process written down in the folder and every stack in it, then removes the folder. */
export async function removeRunFolder(folder: string): Promise<void> {
  const records = join(folder, 'processes');
  const identities = existsSync(records) ? readdirSync(records).map((name) => readIdentity(join(records, name))) : [];
  await Promise.all(
    identities.map(async (identity) => {
      if (identity !== undefined) await stopProcess(identity, endSteps);
    }),
  );
  // After the runner is gone: a test could start another one.
  const stacks = join(folder, stacksFolder);
  const roots = existsSync(stacks) ? readdirSync(stacks) : [];
  await Promise.all(roots.map((root) => bringDown(stackLayout(join(stacks, root)), () => undefined)));
  // A supervisor that had only just begun notices the removal, and its stores write until it has stopped them.
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
}

/** Removes the folders of runs whose process is gone, with what they left running. */
export async function removeLeftovers(base: string): Promise<void> {
  if (!existsSync(base)) return;
  const folders = readdirSync(base).filter((name) => name.startsWith('run-'));
  for (const folder of folders.map((name) => join(base, name))) {
    const owner = readIdentity(join(folder, 'owner.json'));
    const dead = owner === undefined ? ageMilliseconds(folder) > halfMadeMilliseconds : !isRunning(owner);
    if (dead) await removeRunFolder(folder);
  }
}

function ageMilliseconds(folder: string): number {
  return Date.now() - statSync(folder).mtimeMs;
}

function readIdentity(path: string): ProcessIdentity | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<ProcessIdentity>;
    if (typeof value.pid !== 'number' || typeof value.startTime !== 'string') return undefined;
    return { pid: value.pid, startTime: value.startTime };
  } catch {
    return undefined;
  }
}
