// How often one may ask: counted in Redis for the whole installation, in this process while Redis is away.
import { LRUCache } from 'lru-cache';
import { asFailure } from '#mesh/failure';
import type { RateLimiter, RateRule, RateVerdict } from '#mesh/redis';
import type { Clock } from '#mesh/time';

/** Names that are counted at once; whoever changes names faster only resets its own count. */
const maxNames = 50_000;

export interface LimitsOptions {
  readonly limiter: RateLimiter;
  readonly clock: Clock;
  /** Redis was away for this one. */
  readonly onFallback: () => void;
}

/** Never fails: administration goes on without Redis (data.md, "Freshness"). */
export function createRequestLimits({ limiter, clock, onFallback }: LimitsOptions): RateLimiter {
  const counts = new LRUCache<string, { startedAtMs: number; used: number }>({ max: maxNames });
  const count = ({ key, limit, windowSeconds }: RateRule): RateVerdict => {
    const nowMs = clock.monotonic();
    const known = counts.get(key);
    const isOpen = known !== undefined && nowMs - known.startedAtMs < windowSeconds * 1000;
    const current = isOpen ? known : { startedAtMs: nowMs, used: 0 };
    current.used += 1;
    counts.set(key, current);
    const retryAfterMs = current.startedAtMs + windowSeconds * 1000 - nowMs;
    return current.used <= limit ? { allowed: true, retryAfterMs: 0 } : { allowed: false, retryAfterMs };
  };
  return {
    take: async (rule) => {
      try {
        return await limiter.take(rule);
      } catch (error) {
        if (asFailure(error).reason !== 'limiter_unavailable') throw error;
        onFallback();
        return count(rule);
      }
    },
  };
}
