// The PolicyEngine that answers from compiled sets and has OPA's server behind it: a set is checked there first, compiled
// at its first use, and asked in a thread; whatever compiled code cannot say for certain, the server is asked.
import { availableParallelism } from 'node:os';
import { sha256 } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import { LRUCache } from 'lru-cache';
import { mayBeCompiled } from '../../domain/compiled-modules.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { Evaluation, EvaluationQuestion, PolicyEngine } from '../../ports/policy-engine.ts';
import type { ModuleSet } from '../opa/module-set.ts';
import type { PolicyCompiler } from './policy-compiler.ts';
import { createPolicyThread } from './policy-thread.ts';
import type { PolicyThread, ThreadAnswer } from './policy-thread.ts';
import type { WasmModule } from './web-assembly.ts';

/** How a question was answered. */
export type AnsweredBy = 'compiled' | 'server' | 'gave_up' | 'stopped';

export interface CompiledEngineOptions {
  /** Answers what compiled code does not. */
  readonly server: PolicyEngine;
  readonly compiler: PolicyCompiler;
  /** The set as OPA knows it. */
  readonly setOf: (version: PolicySetVersion) => ModuleSet;
  /** True when every policy of the set may be loaded; throws when nobody can say. */
  readonly isInOrder: (set: ModuleSet) => Promise<boolean>;
  readonly maxLoadedSets: number;
  readonly timeoutMs: number;
  readonly onAnswer?: (by: AnsweredBy) => void;
  readonly onLoad?: (outcome: 'compiled' | 'left_to_server') => void;
  readonly threads?: number;
}

/** What is known of a version: its compiled form, or that the server answers for it. */
interface Known {
  readonly module: WasmModule | undefined;
  /** Evaluations that were of no use, or far too long. */
  strikes: number;
}

/** A set that often gives up only pays twice; one that often holds up its thread is for OPA, which shares time out. */
const maxStrikes = 16;
/** Per answer of use: a set that gives up on one question in five pays that question twice and the others a tenth. */
const forgiven = 0.25;
/** Hundreds of times what a decision takes; a collection of garbage takes less. */
const longMicroseconds = 5000;
/** What is known of a version never changes. */
const forGoodMs = 0;
/** What did not compile, or had no place in the line, is not tried again for every question. */
const triedAgainMs = 10_000;

/** Half of the machine is enough for answers of ten microseconds. */
const usualThreads = Math.max(1, Math.min(2, Math.floor(availableParallelism() / 4)));

class CompiledEngine implements AsyncDisposable {
  readonly #options: CompiledEngineOptions;
  readonly #first: PolicyThread;
  readonly #threads: readonly PolicyThread[];
  readonly #underWay = new Map<string, Promise<Known>>();
  readonly #known: LRUCache<string, Known>;

  constructor(options: CompiledEngineOptions) {
    this.#options = options;
    const { maxLoadedSets, threads = usualThreads } = options;
    this.#first = createPolicyThread(maxLoadedSets);
    const others = Array.from({ length: threads - 1 }, () => createPolicyThread(maxLoadedSets));
    this.#threads = [this.#first, ...others];
    this.#known = new LRUCache<string, Known>({ max: options.maxLoadedSets });
  }

  async evaluate(question: EvaluationQuestion): Promise<Evaluation> {
    const set = this.#options.setOf(question.version);
    const known = this.#known.get(set.sentinel) ?? (await this.#know(set));
    const { module } = known;
    if (module === undefined || known.strikes >= maxStrikes) return this.#askServer(question, 'server');
    const answer = await this.#threadOf(set.zoneId).ask({
      zoneId: set.zoneId,
      key: set.sentinel,
      module,
      inputJson: question.inputJson,
      timeoutMs: this.#options.timeoutMs,
    });
    return this.#conclude(question, known, answer);
  }

  async isLoaded(version: PolicySetVersion): Promise<boolean> {
    const known = this.#known.peek(this.#options.setOf(version).sentinel);
    return known?.module !== undefined || this.#options.server.isLoaded(version);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => thread[Symbol.asyncDispose]()));
    await this.#options.compiler[Symbol.asyncDispose]();
  }

  async #conclude(question: EvaluationQuestion, known: Known, answer: ThreadAnswer): Promise<Evaluation> {
    switch (answer.kind) {
      case 'results':
        if (answer.microseconds > longMicroseconds) known.strikes += 1;
        return this.#read(question, known, answer.resultsJson);
      case 'gave_up':
        known.strikes += 1;
        return this.#askServer(question, 'gave_up');
      case 'stopped':
        // Once is enough: it held up its thread for as long as two thousand decisions take.
        known.strikes = maxStrikes;
        return this.#askServer(question, 'stopped');
      case 'late':
        return { kind: 'failed', status: 'timeout' };
      case 'full':
        return { kind: 'failed', status: 'policy_unavailable' };
    }
  }

  /** What is no JSON holds a set, which the server writes in its own order. */
  async #read(question: EvaluationQuestion, known: Known, resultsJson: string): Promise<Evaluation> {
    let results: JsonObject;
    try {
      results = JSON.parse(resultsJson) as JsonObject;
    } catch {
      known.strikes += 1;
      return this.#askServer(question, 'gave_up');
    }
    known.strikes = Math.max(0, known.strikes - forgiven);
    this.#options.onAnswer?.('compiled');
    return { kind: 'answered', results, remembered: false };
  }

  #threadOf(zoneId: string): PolicyThread {
    const at = sha256(zoneId).readUInt32BE(0) % this.#threads.length;
    return this.#threads[at] ?? this.#first;
  }

  async #askServer(question: EvaluationQuestion, by: AnsweredBy): Promise<Evaluation> {
    this.#options.onAnswer?.(by);
    return this.#options.server.evaluate(question);
  }

  async #know(set: ModuleSet): Promise<Known> {
    const before = this.#underWay.get(set.sentinel);
    if (before) return before;
    const finding = this.#find(set).finally(() => this.#underWay.delete(set.sentinel));
    this.#underWay.set(set.sentinel, finding);
    return finding;
  }

  async #find(set: ModuleSet): Promise<Known> {
    const leftToServer: Known = { module: undefined, strikes: 0 };
    if (!mayBeCompiled(set.sources, set.params)) return this.#keep(set, leftToServer, forGoodMs);
    try {
      // What may not be loaded is the server's to refuse, in its own words.
      if (!(await this.#options.isInOrder(set))) return this.#keep(set, leftToServer, triedAgainMs);
    } catch {
      return leftToServer;
    }
    const module = await this.#options.compiler.compile(set);
    return module ? this.#keep(set, { module, strikes: 0 }) : this.#keep(set, leftToServer, triedAgainMs);
  }

  #keep(set: ModuleSet, known: Known, ttl = forGoodMs): Known {
    this.#known.set(set.sentinel, known, { ttl });
    this.#options.onLoad?.(known.module ? 'compiled' : 'left_to_server');
    return known;
  }
}

/** The engine; disposing it ends its threads and removes what was compiled. */
export function createCompiledEngine(options: CompiledEngineOptions): PolicyEngine & AsyncDisposable {
  const engine = new CompiledEngine(options);
  return {
    evaluate: async (question) => engine.evaluate(question),
    validate: async (zoneId, policies, params) => options.server.validate(zoneId, policies, params),
    isLoaded: async (version) => engine.isLoaded(version),
    [Symbol.asyncDispose]: async () => engine[Symbol.asyncDispose](),
  };
}
