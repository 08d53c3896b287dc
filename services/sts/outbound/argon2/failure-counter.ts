// Counts failed authentications per (application, source address) in this process. It only changes what the wrong are
// told, so a count per replica is enough.
import { LRUCache } from 'lru-cache';
import type { FailureCounter } from '../../ports/secret-verifier.ts';

/** authority.md: 60 failures a minute. */
const windowMs = 60_000;
const allowedFailures = 60;
/** An attacker who changes addresses faster than this only resets its own count. */
const maxPairs = 50_000;

/** A counter on the given monotonic clock. */
export function createFailureCounter(monotonic: () => number): FailureCounter {
  const counts = new LRUCache<string, { startedAtMs: number; failures: number }>({ max: maxPairs });
  return {
    failed(applicationId, source) {
      const key = `${applicationId} ${source}`;
      const nowMs = monotonic();
      const known = counts.get(key);
      const current = known && nowMs - known.startedAtMs < windowMs ? known : { startedAtMs: nowMs, failures: 0 };
      current.failures += 1;
      counts.set(key, current);
      return current.failures > allowedFailures;
    },
  };
}
