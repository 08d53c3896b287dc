// Questions to one thread of compiled policies: those that stand together go together, zone by zone in turn, and a question
// that takes too long ends the thread, costs itself the answer and the others a few milliseconds.
import { Worker } from 'node:worker_threads';
import { LRUCache } from 'lru-cache';
import type { WorkerAnswer, WorkerMessage } from './policy-worker.ts';
import type { WasmModule } from './web-assembly.ts';

export type ThreadAnswer =
  | { readonly kind: 'results'; readonly resultsJson: string; readonly microseconds: number }
  /** The compiled set cannot say; OPA's server can. */
  | { readonly kind: 'gave_up' }
  /** It ran for longer than a slice and was ended. */
  | { readonly kind: 'stopped' }
  /** It waited for longer than it might. */
  | { readonly kind: 'late' }
  /** Too many of its zone wait. */
  | { readonly kind: 'full' };

export interface ThreadQuestion {
  readonly zoneId: string;
  readonly key: string;
  readonly module: WasmModule;
  readonly inputJson: string;
  readonly timeoutMs: number;
}

interface Waiting extends ThreadQuestion {
  readonly id: number;
  readonly askedAt: number;
  readonly settle: (answer: ThreadAnswer) => void;
}

export interface PolicyThread extends AsyncDisposable {
  ask(question: ThreadQuestion): Promise<ThreadAnswer>;
}

/** A decision takes ten or twenty microseconds: together far below a millisecond, in which nobody overtakes. */
const batchSize = 64;
const maxWaitingPerZone = 1024;
/** A thousand times what a decision usually takes, and a tenth of what one may take with OPA's server. */
const sliceMs = 25;
const lookEveryMs = 5;
/** Heap of the thread beside the memory of the compiled sets. */
const heapMegabytes = 128;

function startWorker(progress: Int32Array): Worker {
  const worker = new Worker(new URL('./policy-worker.ts', import.meta.url), {
    workerData: { progress },
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  worker.unref();
  return worker;
}

class Thread implements PolicyThread {
  /** By zone; the zone whose turn is next stands first. */
  readonly #lines = new Map<string, Waiting[]>();
  readonly #progress = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  /** What the thread holds; the least recently asked are dropped there too. */
  readonly #kept: LRUCache<string, true>;
  #worker: Worker | undefined;
  #underWay = new Map<number, Waiting>();
  #lastId = 0;
  #flushing = false;
  #watch: NodeJS.Timeout | undefined;
  #seen = { id: 0, sinceMs: 0 };
  #closed = false;

  constructor(maxSets: number) {
    this.#kept = new LRUCache({
      max: maxSets,
      disposeAfter: (_held, key, reason) => {
        if (reason === 'evict') this.#post({ kind: 'drop', key });
      },
    });
  }

  async ask(question: ThreadQuestion): Promise<ThreadAnswer> {
    const line = this.#lines.get(question.zoneId) ?? [];
    if (line.length >= maxWaitingPerZone || this.#closed) return { kind: 'full' };
    this.#lastId = this.#lastId === 0x7f_ff_ff_ff ? 1 : this.#lastId + 1;
    return new Promise((settle) => {
      line.push({ ...question, id: this.#lastId, askedAt: performance.now(), settle });
      this.#lines.set(question.zoneId, line);
      this.#flushSoon();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    await this.#worker?.terminate();
  }

  /** After everything else of this turn has asked; while a batch is out, the next one gathers. */
  #flushSoon(): void {
    if (this.#flushing || this.#underWay.size > 0) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const batch = this.#nextBatch();
    if (batch.length === 0) return;
    for (const waiting of batch) {
      this.#underWay.set(waiting.id, waiting);
      this.#keep(waiting);
    }
    const questions = batch.map(({ id, key, inputJson }) => ({ id, key, inputJson }));
    this.#post({ kind: 'ask', questions });
    this.#watch ??= setInterval(() => this.#look(), lookEveryMs).unref();
  }

  /** One of each zone, round after round. */
  #nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    const now = performance.now();
    while (batch.length < batchSize && this.#lines.size > 0) {
      for (const [zoneId, line] of this.#lines) {
        const next = line.shift();
        this.#lines.delete(zoneId);
        if (line.length > 0) this.#lines.set(zoneId, line);
        if (next && now - next.askedAt > next.timeoutMs) next.settle({ kind: 'late' });
        else if (next) batch.push(next);
        if (batch.length >= batchSize) break;
      }
    }
    return batch;
  }

  #keep({ key, module }: Waiting): void {
    if (this.#kept.get(key)) return;
    this.#post({ kind: 'keep', key, module });
    this.#kept.set(key, true);
  }

  #post(message: WorkerMessage): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message);
  }

  #start(): Worker {
    const worker = startWorker(this.#progress);
    worker.on('message', (answers: readonly WorkerAnswer[]) => this.#hear(answers));
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      if (this.#worker === worker) this.#replace(Atomics.load(this.#progress, 0));
    });
    return worker;
  }

  #hear(answers: readonly WorkerAnswer[]): void {
    for (const { id, resultsJson, microseconds } of answers) {
      const waiting = this.#underWay.get(id);
      this.#underWay.delete(id);
      waiting?.settle(resultsJson === undefined ? { kind: 'gave_up' } : { kind: 'results', resultsJson, microseconds });
    }
    if (this.#underWay.size === 0) this.#goOn();
  }

  #rest(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
    this.#seen = { id: 0, sinceMs: 0 };
  }

  #look(): void {
    const id = Atomics.load(this.#progress, 0);
    const now = performance.now();
    if (id === 0 || id !== this.#seen.id) this.#seen = { id, sinceMs: now };
    else if (now - this.#seen.sinceMs >= sliceMs) return this.#replace(id);
    for (const waiting of this.#underWay.values()) {
      // A thread that is still starting, or stuck where it says nothing.
      if (now - waiting.askedAt <= waiting.timeoutMs) continue;
      this.#underWay.delete(waiting.id);
      waiting.settle({ kind: 'late' });
    }
    if (this.#underWay.size === 0) this.#goOn();
  }

  #goOn(): void {
    if (this.#lines.size > 0) this.#flush();
    else this.#rest();
  }

  /** Ends the thread; what it was at is at fault, everything else is asked again in its old order. */
  #replace(culprit: number): void {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#kept.clear();
    Atomics.store(this.#progress, 0, 0);
    this.#rest();
    const stranded = [...this.#underWay.values()];
    this.#underWay = new Map();
    for (const waiting of stranded.toReversed()) {
      if (waiting.id === culprit) waiting.settle({ kind: 'stopped' });
      else this.#lines.set(waiting.zoneId, [waiting, ...(this.#lines.get(waiting.zoneId) ?? [])]);
    }
    void worker?.terminate();
    if (!this.#closed) this.#flushSoon();
  }
}

/** One thread that holds at most `maxSets` sets; it starts with the first question. */
export function createPolicyThread(maxSets: number): PolicyThread {
  return new Thread(maxSets);
}
