// One OPA server as decisions see it: asked in turn, loaded when it lacks a set, and believed only when the answer carries
// the version's own sentinel. It knows when it last heard anything of the server, so that others can be asked in its place.
import type { JsonValue } from '#mesh/failure';
import { LRUCache } from 'lru-cache';
import { createZoneTurns } from '../../domain/zone-turns.ts';
import type { ZoneTurns } from '../../domain/zone-turns.ts';
import type { Evaluation } from '../../ports/policy-engine.ts';
import type { ModuleSet } from './module-set.ts';
import { OpaAway, isJsonObject } from './opa-client.ts';
import type { OpaClient } from './opa-client.ts';
import { SetRefused } from './set-loader.ts';
import type { SetLoader } from './set-loader.ts';

/** What became of a question at one server. */
export type Outcome = Evaluation | { readonly kind: 'not_loaded' } | { readonly kind: 'silent' };

export interface Question {
  readonly set: ModuleSet;
  readonly inputJson: string;
  readonly timeoutMs: number;
}

export interface EndpointOptions {
  readonly client: OpaClient;
  readonly loader: SetLoader;
  readonly onLoad?: ((outcome: 'loaded' | 'refused' | 'away') => void) | undefined;
  readonly onAnswer?: ((outcome: string) => void) | undefined;
}

/** A zone whose policies are slow leaves a quarter of the connections to the others, who then wait for none. */
const zoneShare = 0.75;
/** Everything that one process has under way stays far below; whoever waits longer than the time limit is denied. */
const maxWaiting = 16_384;
const maxWaitingPerZone = 1024;
/** A server that failed is asked last for so long: one question a second finds out that it is back. */
const avoidedMs = 1000;

/** A set that does not compile is not compiled again for every question; ten seconds outlast a burst of them. */
const refusedMs = 10_000;
const maxRefused = 1024;

/** What 256 policies have to say; reading more would hold up every other zone's decisions. */
const answerLimits = { maxBytes: 1024 * 1024, maxDepth: 64 };

function readDriver(body: JsonValue, sentinel: string): Outcome {
  const result = isJsonObject(body) ? body['result'] : undefined;
  if (!isJsonObject(result) || result['sentinel'] !== sentinel) return { kind: 'not_loaded' };
  const results = result['results'];
  return { kind: 'answered', results: isJsonObject(results) ? results : {}, remembered: false };
}

function isRuntimeError(body: JsonValue): boolean {
  return isJsonObject(body) && body['code'] === 'internal_error';
}

function nameOf(outcome: Outcome): string {
  return outcome.kind === 'failed' ? outcome.status : outcome.kind;
}

/** One server. */
export class OpaEndpoint {
  readonly client: OpaClient;
  readonly loader: SetLoader;
  readonly #options: EndpointOptions;
  readonly #turns: ZoneTurns;
  /** Sets that this server refused a moment ago, which is what it would say again. */
  readonly #refused = new LRUCache<string, true>({ max: maxRefused, ttl: refusedMs });
  #heardAtMs = 0;
  #avoidedUntilMs = 0;

  constructor(options: EndpointOptions) {
    this.client = options.client;
    this.loader = options.loader;
    this.#options = options;
    this.#turns = createZoneTurns({
      places: this.client.connections,
      perZone: Math.max(1, Math.floor(this.client.connections * zoneShare)),
      maxWaiting,
      maxWaitingPerZone,
    });
  }

  /** True while another should be asked first. */
  isAvoided(): boolean {
    return performance.now() < this.#avoidedUntilMs;
  }

  /**
   * The answer, loading first what is not loaded. `silent` when `patienceMs` passed without the server saying anything to
   * anybody: then it is the server and not the policy that is slow.
   */
  async evaluate(question: Question, patienceMs: number | undefined): Promise<Evaluation | { kind: 'silent' }> {
    this.loader.touch(question.set);
    const first = await this.#patiently(question, patienceMs);
    if (first.kind !== 'not_loaded') return first;
    if (this.#refused.has(question.set.sentinel)) return { kind: 'failed', status: 'malformed' };
    const failed = await this.#load(question.set);
    if (failed) return failed;
    const second = await this.#inTurn(question);
    return second.kind === 'not_loaded' || second.kind === 'silent' ? { kind: 'failed', status: 'undefined' } : second;
  }

  /** Asks once, loading nothing. */
  async ask({ set, inputJson, timeoutMs }: Question): Promise<Outcome> {
    const outcome = await this.#askOnce({ set, inputJson, timeoutMs });
    this.#options.onAnswer?.(nameOf(outcome));
    if (outcome.kind === 'failed' && outcome.status === 'policy_unavailable') this.#avoid();
    else if (outcome.kind !== 'failed' || outcome.status !== 'timeout') this.#heardAtMs = performance.now();
    return outcome;
  }

  async #patiently(question: Question, patienceMs: number | undefined): Promise<Outcome> {
    const askedAtMs = performance.now();
    const asking = this.#inTurn(question);
    if (patienceMs === undefined) return asking;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, patienceMs, undefined);
    });
    const outcome = await Promise.race([asking, patience]);
    clearTimeout(timer);
    if (outcome !== undefined) return outcome;
    if (this.#heardAtMs > askedAtMs) return asking;
    this.#avoid();
    return { kind: 'silent' };
  }

  /** Asks when the zone has its turn; waiting counts towards the time limit. */
  async #inTurn(question: Question): Promise<Outcome> {
    const startedAtMs = performance.now();
    const entered = this.#turns.enter(question.set.zoneId);
    if (entered === undefined) return { kind: 'failed', status: 'policy_unavailable' };
    const leave = typeof entered === 'function' ? entered : await entered;
    try {
      const timeoutMs = question.timeoutMs - Math.floor(performance.now() - startedAtMs);
      if (timeoutMs <= 0) return { kind: 'failed', status: 'timeout' };
      return await this.ask({ ...question, timeoutMs });
    } finally {
      leave();
    }
  }

  async #askOnce({ set, inputJson, timeoutMs }: Question): Promise<Outcome> {
    try {
      const reply = await this.client.call({
        method: 'POST',
        // Strict: a built-in that fails is an error, never a rule that silently does not hold.
        path: `/v1/data/${set.base.join('/')}/driver?strict-builtin-errors=true`,
        body: `{"input":${inputJson}}`,
        timeoutMs,
        answer: answerLimits,
      });
      if (reply.status === 200) return readDriver(reply.body, set.sentinel);
      return { kind: 'failed', status: isRuntimeError(reply.body) ? 'evaluation_error' : 'policy_unavailable' };
    } catch (error) {
      return { kind: 'failed', status: error instanceof OpaAway && error.timedOut ? 'timeout' : 'policy_unavailable' };
    }
  }

  async #load(set: ModuleSet): Promise<Evaluation | undefined> {
    try {
      await this.loader.load(set);
      this.#options.onLoad?.('loaded');
      return undefined;
    } catch (error) {
      const refused = error instanceof SetRefused;
      if (refused) this.#refused.set(set.sentinel, true);
      else this.#avoid();
      this.#options.onLoad?.(refused ? 'refused' : 'away');
      return { kind: 'failed', status: refused ? 'malformed' : 'policy_unavailable' };
    }
  }

  #avoid(): void {
    this.#avoidedUntilMs = performance.now() + avoidedMs;
  }
}
