// Whether this replica lives, and whether it should be sent work: one answer for HTTP probes and grpc.health.v1.
// It stands alone so that both surfaces, and a drain, always tell the same story.
import { asFailure } from '#mesh/failure';

/** Throws when the dependency cannot be used now. Should stop when the signal is aborted. */
export type HealthCheck = (signal: AbortSignal) => Promise<void>;

/** `ok`, `timeout`, or the reason of the failure the check threw; stable words that monitors may match. */
export type DependencyState = string;

export interface Readiness {
  readonly ready: boolean;
  /** Why not: `draining`, else the state of the first dependency, in the order of the checks, that is not ok. */
  readonly reason?: string;
  readonly dependencies: Readonly<Record<string, DependencyState>>;
}

export interface Health {
  /** True as long as the event loop answers at all; draining included, so that nobody kills a replica that finishes. */
  live(): boolean;
  /** Runs all checks at once, each within the budget; calls that come while it runs share the answer. Never rejects. */
  ready(): Promise<Readiness>;
  /** From now on not ready, for good. */
  drain(): void;
  isDraining(): boolean;
  /** Calls back when a drain begins, at once when it has; gives a function that stops listening. */
  onDrain(listener: () => void): () => void;
}

export interface HealthOptions {
  readonly checks: Readonly<Record<string, HealthCheck>>;
  /** Milliseconds for all checks together. */
  readonly budgetMs?: number | undefined;
  /** Told what a failed check threw, for the log; probes see the reason alone. */
  readonly onFailed?: ((dependency: string, error: unknown) => void) | undefined;
}

/** Probes give up after a few seconds; an answer within two tells them why. */
const defaultBudgetMs = 2000;

/** What an error says outside: a reason of the catalogue, or `unavailable` for anything that names none. */
function stateOf(error: unknown): DependencyState {
  const { reason } = asFailure(error);
  return reason === 'internal_error' ? 'unavailable' : reason;
}

/** Runs one check within the budget. */
async function probe(check: HealthCheck, budgetMs: number): Promise<unknown> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => resolve('timeout'), budgetMs);
  });
  try {
    // The wrapper turns a check that throws before its first await into a rejection.
    const run = (async () => check(controller.signal))();
    return await Promise.race([run.then(() => 'ok'), late]);
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

/** Health of one replica from the checks of its dependencies. */
export function createHealth({ checks, budgetMs = defaultBudgetMs, onFailed }: HealthOptions): Health {
  const drained = new AbortController();
  let running: Promise<Readiness> | undefined;

  async function stateOfOne(name: string, check: HealthCheck): Promise<[string, DependencyState]> {
    try {
      return [name, String(await probe(check, budgetMs))];
    } catch (error) {
      onFailed?.(name, error);
      return [name, stateOf(error)];
    }
  }

  async function look(): Promise<Readiness> {
    const states = await Promise.all(Object.entries(checks).map(([name, check]) => stateOfOne(name, check)));
    const failed = states.find(([, state]) => state !== 'ok')?.[1];
    const reason = drained.signal.aborted ? 'draining' : failed;
    const dependencies = Object.fromEntries(states);
    return reason === undefined ? { ready: true, dependencies } : { ready: false, reason, dependencies };
  }

  return {
    live: () => true,
    ready() {
      running ??= look().finally(() => {
        running = undefined;
      });
      return running;
    },
    drain: () => drained.abort(),
    isDraining: () => drained.signal.aborted,
    onDrain(listener) {
      if (drained.signal.aborted) listener();
      else drained.signal.addEventListener('abort', listener, { once: true });
      return () => drained.signal.removeEventListener('abort', listener);
    },
  };
}
