// How far a change has come that an invalidation stream told: whether every enforcement point that is not gone has applied
// its number. It stands alone because a change of policy or keys waits for every replica the same way a revocation does.
import { fail } from '#mesh/failure';
import type { Database } from '#mesh/postgres';
import type { Clock } from '#mesh/time';
import { readPropagation, type StreamNumber } from './postgres-source.ts';

export interface PropagationReport {
  readonly propagated: boolean;
  /** Live enforcement points. */
  readonly points: number;
  /** Those that have not applied it, as `<service>/<replica>`. */
  readonly missing: readonly string[];
}

export interface Propagation {
  /** How things are now. */
  look(number: StreamNumber): Promise<PropagationReport>;
  /** Resolves when it is applied everywhere; else `barrier_timeout` at the deadline, naming who is missing. The change stands either way. */
  wait(number: StreamNumber, deadlineMs: number): Promise<PropagationReport & { readonly elapsedMs: number }>;
}

/** Points tell at once after applying, coalesced to 10 ms; a stream's entry is on its way for a few. */
const pollMs = 10;
const slowestPollMs = 100;

export function createPropagation(database: Database, clock: Clock): Propagation {
  const look = async (number: StreamNumber): Promise<PropagationReport> => {
    const { points, waiting, missing } = await readPropagation(database, number);
    return { propagated: waiting === 0, points, missing };
  };
  return {
    look,
    async wait(number, deadlineMs) {
      const startedMs = clock.monotonic();
      for (let delayMs = pollMs; ; delayMs = Math.min(delayMs * 2, slowestPollMs)) {
        const report = await look(number);
        const elapsedMs = Math.round(clock.monotonic() - startedMs);
        if (report.propagated) return { ...report, elapsedMs };
        if (elapsedMs >= deadlineMs) {
          const description = 'The change stands, but not every replica has confirmed it in time.';
          throw fail('barrier_timeout', {
            description,
            details: { points: report.points, missing: [...report.missing] },
          });
        }
        await clock.sleep(delayMs);
      }
    },
  };
}
