/**
 * Keeps a set of processes running: starts them stage by stage, restarts one that ends, stops all in reverse. It stands
 * alone, without knowing what the processes are, so that its rules are tested with tiny ones.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, stopProcess } from '../components/child-process.ts';
import type { OnSpawn, ProcessExit, StartedProcess, StopStep } from '../components/child-process.ts';
import type { PartState, PartStatus } from './run-file.ts';

export interface Part {
  name: string;
  address: string;
  logFile: string;
  /** Starts it and resolves when it answers; tells of the process as soon as there is one. */
  start(onSpawn: OnSpawn): Promise<{ readonly process: StartedProcess }>;
}

export interface SupervisionOptions {
  say: (message: string) => void;
  /** Called after every change of a status. */
  onChange: () => void;
  backOff?: BackOff;
}

export interface BackOff {
  firstMilliseconds: number;
  limitMilliseconds: number;
  /** A process that ran this long before it ended is restarted as if for the first time. */
  steadyMilliseconds: number;
}

/** Half a second covers a crash; half a minute keeps a part that cannot start from burning a core. */
const defaultBackOff: BackOff = { firstMilliseconds: 500, limitMilliseconds: 30_000, steadyMilliseconds: 60_000 };

interface Kept {
  part: Part;
  status: PartStatus;
  process?: StartedProcess;
  stopSteps: readonly StopStep[];
  /** Settles when the part's keeper has ended, after a stop. */
  keeper: Promise<void>;
}

export class Supervision {
  readonly #options: SupervisionOptions;
  readonly #backOff: BackOff;
  readonly #stages: Kept[][] = [];
  readonly #stopping = new AbortController();

  constructor(options: SupervisionOptions) {
    this.#options = options;
    this.#backOff = options.backOff ?? defaultBackOff;
  }

  statuses(): PartStatus[] {
    return this.#stages.flat().map(({ status }) => status);
  }

  /**
   * Starts the parts of a stage together and resolves when all of them answer; from then on each is restarted when it
   * ends. Rejects with the first failure, or when a stop began meanwhile; the caller stops what runs.
   */
  async startStage(parts: readonly Part[]): Promise<void> {
    const stage = parts.map((part) => this.#adopt(part));
    this.#stages.push(stage);
    this.#options.onChange();
    await Promise.all(
      stage.map(async (kept) => {
        this.#throwIfStopping();
        const started = await this.#start(kept);
        this.#throwIfStopping();
        kept.keeper = this.#keep(kept, started);
      }),
    );
  }

  /** Stops the stages in reverse, the parts of one together. Idempotent; resolves when every process is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const stage of this.#stages.toReversed()) {
      await Promise.all(
        stage.map(async (kept) => {
          this.#set(kept, 'stopping');
          if (kept.process !== undefined) {
            const outcome = await stopProcess(kept.process, kept.stopSteps);
            if (outcome === 'killed') this.#options.say(`${kept.part.name} did not end in time and was killed`);
          }
          await kept.keeper;
          this.#set(kept, 'stopped');
        }),
      );
    }
  }

  #adopt(part: Part): Kept {
    const { name, address, logFile } = part;
    const status: PartStatus = { name, state: 'starting', address, logFile, restarts: 0 };
    return { part, status, stopSteps: [], keeper: Promise.resolve() };
  }

  async #start(kept: Kept): Promise<StartedProcess> {
    const began = performance.now();
    const { process } = await kept.part.start((spawned, stopSteps) => {
      kept.process = spawned;
      kept.stopSteps = stopSteps;
      kept.status.process = { pid: spawned.pid, startTime: spawned.startTime };
      this.#options.onChange();
      // A stop that began while the process was being made did not see it.
      if (this.#stopping.signal.aborted) void stopProcess(spawned, stopSteps);
    });
    this.#set(kept, 'up');
    this.#options.say(`${kept.part.name} is up (${kept.part.address}, ${Math.round(performance.now() - began)} ms)`);
    return process;
  }

  /** Waits for the end of the process and starts it again, until a stop. */
  async #keep(kept: Kept, first: StartedProcess): Promise<void> {
    let current: StartedProcess | undefined = first;
    let failures = 0;
    while (true) {
      const began = performance.now();
      if (current !== undefined) {
        const exit = await current.exited;
        if (this.#stopping.signal.aborted) return;
        this.#noteExit(kept, exit);
        if (performance.now() - began >= this.#backOff.steadyMilliseconds) failures = 0;
      }
      if (!(await this.#pause(failures))) return;
      failures += 1;
      current = await this.#restart(kept);
    }
  }

  #noteExit(kept: Kept, exit: ProcessExit): void {
    kept.status.lastExit = describeExit(exit);
    this.#options.say(`${kept.part.name} ended (${kept.status.lastExit}); see ${kept.part.logFile}`);
    this.#set(kept, 'restarting');
  }

  async #restart(kept: Kept): Promise<StartedProcess | undefined> {
    kept.status.restarts += 1;
    try {
      return await this.#start(kept);
    } catch (error) {
      if (!this.#stopping.signal.aborted) {
        this.#options.say(`${kept.part.name} could not be restarted: ${firstLine(error)}`);
        this.#set(kept, 'restarting');
      }
      return undefined;
    }
  }

  /** Waits longer after each failure; false when a stop began. */
  async #pause(failures: number): Promise<boolean> {
    const { firstMilliseconds, limitMilliseconds } = this.#backOff;
    const duration = Math.min(firstMilliseconds * 2 ** failures, limitMilliseconds);
    try {
      await sleep(duration, undefined, { signal: this.#stopping.signal });
      return true;
    } catch {
      return false;
    }
  }

  #set(kept: Kept, state: PartState): void {
    kept.status.state = state;
    this.#options.onChange();
  }

  #throwIfStopping(): void {
    if (this.#stopping.signal.aborted) throw new Error('the stack is being stopped');
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
