// When a provider is left alone: after five failures within five minutes, for thirty seconds, then one request decides.
// Each replica counts for itself: a replica whose own network fails must not keep the others from a provider that answers.
import { circuitBreaker, handleWhenResult, BrokenCircuitError, type IBreaker, type IPolicy } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import type { Clock } from '#mesh/time';
import type { TokenOutcome } from '../../ports/token-endpoint.ts';

/** The reference's numbers. */
const failuresToOpen = 5;
const windowMs = 300_000;
const openMs = 30_000;
/** Providers watched at once; one that falls out starts anew with a clean record. */
const maxProviders = 10_000;

class FailuresInWindow implements IBreaker {
  state: unknown = undefined;
  #failedAtMs: number[] = [];
  readonly #monotonic: () => number;

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  success(): void {
    this.#failedAtMs = [];
  }

  failure(): boolean {
    const nowMs = this.#monotonic();
    this.#failedAtMs = [...this.#failedAtMs.filter((atMs) => atMs > nowMs - windowMs), nowMs];
    return this.#failedAtMs.length >= failuresToOpen;
  }
}

export interface FailureBreaker {
  /** Runs the request unless the provider is left alone. */
  run(key: string, request: () => Promise<TokenOutcome>): Promise<TokenOutcome>;
}

export interface FailureBreakerOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly onOpen: () => void;
  readonly halfOpenAfterMs?: number | undefined;
}

/** That our own places were taken says nothing about the provider. */
function isFailure(outcome: unknown): boolean {
  const { kind, ...about } = outcome as TokenOutcome;
  return kind === 'unavailable' && !('cause' in about && about.cause === 'crowded');
}

export function createFailureBreaker(options: FailureBreakerOptions): FailureBreaker {
  const { clock, onOpen, halfOpenAfterMs = openMs } = options;
  const circuits = new LRUCache<string, IPolicy>({ max: maxProviders });
  function circuitOf(key: string): IPolicy {
    const known = circuits.get(key);
    if (known) return known;
    const breaker = new FailuresInWindow(() => clock.monotonic());
    const circuit = circuitBreaker(handleWhenResult(isFailure), { halfOpenAfter: halfOpenAfterMs, breaker });
    circuit.onBreak(onOpen);
    circuits.set(key, circuit);
    return circuit;
  }
  return {
    async run(key, request) {
      try {
        return await circuitOf(key).execute(request);
      } catch (error) {
        if (error instanceof BrokenCircuitError) return { kind: 'unavailable', cause: 'circuit_open' };
        throw error;
      }
    },
  };
}
