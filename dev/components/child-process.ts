/**
 * Starts, watches and stops the processes of a stack. It stands alone so that a server, a service and a fixture are
 * all started in their own session, logged to a file and stopped only after the start time is seen to be the same.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, processStartTime } from '../process-identity.mjs';
import type { ProcessIdentity } from '../process-identity.mjs';

export type Environment = Record<string, string | undefined>;

export interface ProcessOptions {
  command: string;
  args: readonly string[];
  environment: Environment;
  workingDirectory?: string;
  /** Standard output and error are appended here. */
  logFile: string;
}

/** How a process ended; exactly one of the two is set. */
export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface StartedProcess extends ProcessIdentity {
  /** Resolves when the process has ended, never rejects. */
  readonly exited: Promise<ProcessExit>;
}

export interface StopStep {
  signal: NodeJS.Signals;
  /** How long to wait for the end after this signal before the next one is sent. */
  graceMilliseconds: number;
}

/** Told of a process and of how it is stopped in order. */
export type OnSpawn = (process: StartedProcess, stopSteps: readonly StopStep[]) => void;

/** A log that has grown beyond this is set aside once when its process starts, so that a stack's logs stay bounded. */
const logLimitBytes = 16 * 1024 * 1024;
const pollMilliseconds = 25;
/** Enough of a log's end to see why a process did not start. */
const logTailLines = 15;

/**
 * Starts a process in a session of its own (a terminal's Ctrl-C reaches us, and we stop it in order). Rejects when the
 * command cannot be executed.
 */
export async function startProcess(options: ProcessOptions): Promise<StartedProcess> {
  const log = openLog(options.logFile);
  try {
    const child = spawn(options.command, options.args, {
      cwd: options.workingDirectory,
      env: options.environment,
      stdio: ['ignore', log, log],
      detached: true,
    });
    const exited = new Promise<ProcessExit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    await once(child, 'spawn');
    const pid = child.pid;
    if (pid === undefined) throw new Error(`${options.command} has no process id`);
    // A process that ended already has no start time any more; the word makes it "not running" for every later look.
    return { pid, startTime: processStartTime(pid) ?? 'ended', exited };
  } finally {
    closeSync(log);
  }
}

function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (existsSync(path) && statSync(path).size > logLimitBytes) renameSync(path, `${path}.1`);
  return openSync(path, 'a', 0o600);
}

/**
 * Stops a process: sends each signal, waits its grace, then SIGKILL. Resolves once it is gone; does nothing when it is
 * gone already or its number belongs to another process now.
 */
export async function stopProcess(identity: ProcessIdentity, steps: readonly StopStep[]): Promise<'gone' | 'killed'> {
  for (const step of steps) {
    if (!signalProcess(identity, step.signal)) return 'gone';
    if (await waitUntilGone(identity, step.graceMilliseconds)) return 'gone';
  }
  signalProcess(identity, 'SIGKILL');
  await waitUntilGone(identity, Number.POSITIVE_INFINITY);
  return 'killed';
}

/** Sends a signal when the identity still holds; tells whether it was sent. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}

async function waitUntilGone(identity: ProcessIdentity, limitMilliseconds: number): Promise<boolean> {
  const deadline = performance.now() + limitMilliseconds;
  while (isRunning(identity)) {
    if (performance.now() >= deadline) return false;
    await sleep(pollMilliseconds);
  }
  return true;
}

export interface HealthWait {
  what: string;
  process: StartedProcess;
  logFile: string;
  limitMilliseconds: number;
  /** True when the thing answers; false or an error when not yet. */
  probe: () => Promise<boolean>;
}

/** Waits until the probe answers; rejects, with the end of the log, when the process ends first or time is up. */
export async function waitUntilHealthy(wait: HealthWait): Promise<void> {
  const deadline = performance.now() + wait.limitMilliseconds;
  let ended: ProcessExit | undefined;
  void wait.process.exited.then((exit) => (ended = exit));
  while (performance.now() < deadline) {
    if (await wait.probe().catch(() => false)) return;
    await sleep(pollMilliseconds);
    if (ended !== undefined) throw new Error(`${wait.what} ended (${describeExit(ended)})${logTail(wait.logFile)}`);
  }
  throw new Error(`${wait.what} did not answer within ${wait.limitMilliseconds / 1000} s${logTail(wait.logFile)}`);
}

/** "exit code 1" or "signal SIGKILL". */
export function describeExit(exit: ProcessExit): string {
  return exit.signal === null ? `exit code ${exit.code ?? 'unknown'}` : `signal ${exit.signal}`;
}

/** The end of a log as text to append to a message, or nothing when there is none. */
function logTail(path: string): string {
  try {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-logTailLines);
    return `; the end of ${path}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  } catch {
    return '';
  }
}
