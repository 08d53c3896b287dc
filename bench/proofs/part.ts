// One process of an installation that a proof may end, stop, pause and bring back as the same one. It stands alone because
// services, stores and OPA are treated alike, and because what is brought back must have the same port and data.
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import { signalProcess } from '../../dev/components/child-process.ts';
import type { OnSpawn, ProcessExit, StartedProcess } from '../../dev/components/child-process.ts';
import { isRunning } from '../../dev/process-identity.mjs';

export interface Part {
  readonly name: string;
  pid(): number;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Asks it to end in order, and tells how it ended. */
  stop(): Promise<ProcessExit>;
  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void;
  exited(): Promise<ProcessExit>;
  /** Starts it again on its port with its data; resolves when it answers. */
  start(): Promise<void>;
  /** Whether its process lives, ready or not. */
  isRunning(): boolean;
  isReady(): Promise<boolean>;
  /** Everything its processes have written. */
  log(): string;
}

export interface Started {
  readonly process: StartedProcess;
  stop(): Promise<void>;
  isReady?(): Promise<boolean>;
}

export interface PartOptions {
  readonly name: string;
  readonly logFile: string;
  readonly onSpawn: OnSpawn;
  readonly launch: (onSpawn: OnSpawn) => Promise<Started>;
}

/** A Postgres that was killed leaves children for a moment, and no other may begin while they are there. */
const startLimitMs = 30_000;
const startPauseMs = 100;

/** Starts the part for the first time. */
export async function startPart(options: PartOptions): Promise<Part> {
  let current = await options.launch(options.onSpawn);
  return {
    name: options.name,
    pid: () => current.process.pid,
    kill: async () => {
      signalProcess(current.process, 'SIGKILL');
      await current.process.exited;
    },
    stop: async () => {
      await current.stop();
      return current.process.exited;
    },
    signal: (signal) => void signalProcess(current.process, signal),
    exited: () => current.process.exited,
    start: async () => {
      const untilMs = performance.now() + startLimitMs;
      for (;;) {
        try {
          current = await options.launch(options.onSpawn);
          return;
        } catch (error) {
          if (performance.now() > untilMs) throw error;
          await sleep(startPauseMs);
        }
      }
    },
    isRunning: () => isRunning(current.process),
    isReady: async () => (await current.isReady?.().catch(() => false)) ?? true,
    log: () => readFileSync(options.logFile, 'utf8'),
  };
}
