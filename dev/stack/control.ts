/** Starts, finds and stops a supervisor from outside: what `up`, `down` and the demo do, without their words. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { signalProcess, stopProcess } from '../components/child-process.ts';
import type { StopStep } from '../components/child-process.ts';
import { withLock } from '../lock.mjs';
import { isRunning, processStartTime } from '../process-identity.mjs';
import type { ProcessIdentity } from '../process-identity.mjs';
import { makeStateFolder } from './layout.ts';
import type { Layout } from './layout.ts';
import { readRunFile, removeRunFile } from './run-file.ts';
import type { RunRecord } from './run-file.ts';

const pollMilliseconds = 50;
/** Begins a line that belongs in the log and not on a terminal. */
export const detailMark = '- ';
/** Longer than the slowest part's own grace periods together, so that the supervisor decides when to kill. */
const supervisorStop: readonly StopStep[] = [{ signal: 'SIGTERM', graceMilliseconds: 150_000 }];
/** A part that lost its supervisor is asked to end, a Postgres by the signal that makes it end at once. */
const orphanStop: readonly StopStep[] = [
  { signal: 'SIGINT', graceMilliseconds: 10_000 },
  { signal: 'SIGTERM', graceMilliseconds: 5_000 },
];

export type UpOutcome =
  | { kind: 'started'; record: RunRecord }
  | { kind: 'found'; record: RunRecord }
  | { kind: 'failed'; message: string }
  | { kind: 'interrupted' };

export interface UpOptions {
  layout: Layout;
  environment: NodeJS.ProcessEnv;
  say: (message: string) => void;
  /** Aborting stops what this call has started. */
  signal: AbortSignal;
  /** The repository whose supervisor and services run, when it is not the layout's. */
  supervisorFile?: string;
}

/** Finds the running stack, or starts one and waits until it is ready. Concurrent calls start one stack. */
export async function bringUp(options: UpOptions): Promise<UpOutcome> {
  const { layout, say } = options;
  makeStateFolder(layout);
  const onWait = (): void => say('another `up` is starting the stack, waiting for it');
  try {
    return await withLock({ path: layout.upLock, onWait, signal: options.signal }, () => findOrStart(options));
  } catch (error) {
    if (options.signal.aborted) return { kind: 'interrupted' };
    throw error;
  }
}

async function findOrStart(options: UpOptions): Promise<UpOutcome> {
  const { layout, say } = options;
  const state = readRunFile(layout.runFile);
  if (state.kind === 'running') {
    const { phase, pid } = state.record;
    if (phase === 'ready') return { kind: 'found', record: state.record };
    say(`a stack is ${phase} (pid ${pid}), waiting for it`);
    const outcome = await follow({ ...options, supervisor: state.record, ours: false });
    // One that was being stopped is gone now, as it should be.
    if (outcome.kind !== 'failed' || phase !== 'stopping') return outcome;
  }
  await endOrphans(layout);
  return await startSupervisor(options);
}

async function startSupervisor(options: UpOptions): Promise<UpOutcome> {
  const { layout } = options;
  removeRunFile(layout.runFile);
  const log = openSync(layout.supervisorLog, 'a', 0o600);
  const file = options.supervisorFile ?? join(import.meta.dirname, '..', 'supervisor.ts');
  const child = spawn(process.execPath, [file, layout.state, layout.root], {
    cwd: layout.root,
    env: options.environment,
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  child.on('error', () => undefined);
  child.unref();
  const pid = child.pid ?? 0;
  const supervisor = { pid, startTime: processStartTime(pid) ?? '' };
  const outcome = await follow({ ...options, supervisor, ours: true });
  return outcome.kind === 'found' ? { kind: 'started', record: outcome.record } : outcome;
}

interface Following extends UpOptions {
  supervisor: ProcessIdentity;
  /** Started by this call: then an interruption stops it. */
  ours: boolean;
}

/** Repeats the supervisor's lines until it is ready or gone. */
async function follow(following: Following): Promise<UpOutcome> {
  const { layout, say, signal, supervisor } = following;
  const lines = followLog(layout.supervisorLog);
  while (true) {
    const alive = isRunning(supervisor);
    for (const line of lines()) say(line);
    const outcome = outcomeSoFar(following, alive);
    if (outcome !== undefined) return outcome;
    if (signal.aborted) signalProcess(supervisor, 'SIGTERM');
    await sleep(pollMilliseconds);
  }
}

/** Undefined while there is something to wait for. */
function outcomeSoFar({ layout, signal, supervisor, ours }: Following, alive: boolean): UpOutcome | undefined {
  const record = recordOf(layout, supervisor);
  if (alive && record?.phase === 'ready' && !signal.aborted) return { kind: 'found', record };
  if (alive) return signal.aborted && !ours ? { kind: 'interrupted' } : undefined;
  if (signal.aborted) return { kind: 'interrupted' };
  return { kind: 'failed', message: record?.message ?? `the supervisor ended; its log is ${layout.supervisorLog}` };
}

function recordOf(layout: Layout, supervisor: ProcessIdentity): RunRecord | undefined {
  const state = readRunFile(layout.runFile);
  return state.kind !== 'none' && state.record.pid === supervisor.pid ? state.record : undefined;
}

/** The lines written to a log since the last call, without their time and without the details. */
function followLog(path: string): () => string[] {
  let position = existsSync(path) ? statSync(path).size : 0;
  return () => {
    if (!existsSync(path)) return [];
    const content = readFileSync(path);
    const end = content.lastIndexOf(0x0a) + 1;
    if (end <= position) return [];
    const text = content.subarray(position, end).toString('utf8');
    position = end;
    return text
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, ''))
      .filter((line) => !line.startsWith(detailMark));
  };
}

export type DownOutcome = { kind: 'stopped'; pid: number } | { kind: 'not-running'; orphans: number };

/** Stops the stack of this layout; also what a supervisor that was killed left running. */
export async function bringDown(layout: Layout, say: (message: string) => void): Promise<DownOutcome> {
  const state = readRunFile(layout.runFile);
  if (state.kind !== 'running') {
    const orphans = await endOrphans(layout);
    removeRunFile(layout.runFile);
    return { kind: 'not-running', orphans };
  }
  const { pid, startTime } = state.record;
  say(`stopping the stack (pid ${pid})`);
  await stopProcess({ pid, startTime }, supervisorStop);
  await endOrphans(layout);
  removeRunFile(layout.runFile);
  return { kind: 'stopped', pid };
}

/** Ends the parts that a run file names and that still run; tells how many there were. */
async function endOrphans(layout: Layout): Promise<number> {
  const state = readRunFile(layout.runFile);
  if (state.kind !== 'gone') return 0;
  const orphans = state.record.parts.flatMap((part) => (part.process === undefined ? [] : [part.process]));
  const running = orphans.filter((identity) => isRunning(identity));
  await Promise.all(running.map((identity) => stopProcess(identity, orphanStop)));
  return running.length;
}
