// Has policies checked by the thread for syntax trees: one at a time, bounded in time and memory, and each text once,
// because what may stand in a policy depends on nothing but its text.
import { Worker } from 'node:worker_threads';
import { sha256Hex } from '#mesh/canonical';
import { LRUCache } from 'lru-cache';
import type { PolicyProblem } from '../../domain/policy-check.ts';
import type { OpaClient } from './opa-client.ts';
import type { SyntaxAnswer, SyntaxQuestion } from './syntax-worker.ts';

/** Checks policies by themselves. */
export interface SyntaxChecker extends AsyncDisposable {
  /** `unparsed` when OPA finds no syntax tree in it. Throws OpaAway through `away`. */
  check(client: Pick<OpaClient, 'url'>, source: string): Promise<SyntaxAnswer>;
}

export interface SyntaxCheckerOptions {
  readonly token: string | undefined;
  /** The thread that answers; a test puts another in its place. */
  readonly worker?: () => Worker;
}

/** OPA parses 256 KiB in a second or so, and on a loaded machine in several. */
const parseTimeoutMs = 10_000;
/** Parsing, reading the tree and walking it; beyond, the policy was written to exhaust it. */
const checkTimeoutMs = 20_000;
/** Heap of the thread: the largest tree as text and as objects. Beyond it the thread ends, and the process stays. */
const heapMegabytes = 768;
/** Texts known to be in order. */
const rememberedTexts = 20_000;
/** A thread that nobody needs gives its memory back. */
const idleMs = 30_000;

const tooComplex: PolicyProblem = {
  line: 1,
  column: 1,
  code: 'policy_too_complex',
  message: 'the policy is too large or too deep to be checked',
};

function startWorker(): Worker {
  const worker = new Worker(new URL('./syntax-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  worker.unref();
  return worker;
}

class Checker implements SyntaxChecker {
  readonly #options: SyntaxCheckerOptions;
  readonly #inOrder = new LRUCache<string, true>({ max: rememberedTexts });
  #worker: Worker | undefined;
  #line: Promise<unknown> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;
  #asked = 0;

  constructor(options: SyntaxCheckerOptions) {
    this.#options = options;
  }

  async check({ url }: Pick<OpaClient, 'url'>, source: string): Promise<SyntaxAnswer> {
    const digest = sha256Hex(source);
    if (this.#inOrder.has(digest)) return { kind: 'checked', problems: [] };
    const turn = this.#line.then(async () => this.#ask(url, source));
    this.#line = turn.catch(() => undefined);
    const answer = await turn;
    if (answer.kind === 'checked' && answer.problems.length === 0) this.#inOrder.set(digest, true);
    return answer;
  }

  async #ask(url: string, source: string): Promise<SyntaxAnswer> {
    clearTimeout(this.#idle);
    const worker = (this.#worker ??= this.#start());
    this.#asked += 1;
    const question: SyntaxQuestion = {
      id: this.#asked,
      url,
      token: this.#options.token,
      source,
      timeoutMs: parseTimeoutMs,
    };
    const answer = await this.#answerOf(worker, question);
    this.#idle = setTimeout(() => void this.#end(), idleMs).unref();
    return answer;
  }

  #start(): Worker {
    const worker = (this.#options.worker ?? startWorker)();
    // Without a listener an error of a thread that dies between two questions would be the process'.
    worker.on('error', () => undefined);
    return worker;
  }

  /** A thread that does not answer, or dies of what it was given, is replaced; the policy is at fault. */
  #answerOf(worker: Worker, question: SyntaxQuestion): Promise<SyntaxAnswer> {
    return new Promise((resolve) => {
      const settle = (answer: SyntaxAnswer): void => {
        clearTimeout(timer);
        worker.off('message', hear).off('error', giveUp).off('exit', giveUp);
        resolve(answer);
      };
      const giveUp = (): void => {
        settle({ kind: 'checked', problems: [tooComplex] });
        void this.#end();
      };
      const hear = ({ id, ...answer }: SyntaxAnswer & { readonly id: number }): void => {
        if (id === question.id) settle(answer);
      };
      const timer = setTimeout(giveUp, checkTimeoutMs);
      worker.on('message', hear);
      worker.on('error', giveUp);
      worker.on('exit', giveUp);
      worker.postMessage(question);
    });
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle);
    await this.#end();
  }
}

/** One for the process; its thread starts with the first text it has not seen. */
export function createSyntaxChecker(options: SyntaxCheckerOptions): SyntaxChecker {
  return new Checker(options);
}
