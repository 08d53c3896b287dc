// Counts what may happen so often per window, for the whole installation, in one call to Redis (db1). Spending is smooth:
// a full allowance at rest, refilled evenly, so no window's edge allows it twice in a moment.
import { fail } from '#mesh/failure';
import { defineScript, type RedisConnection } from './connection.ts';

export interface RateRule {
  /** Names what is counted; at most a few hundred characters of our own making. */
  readonly key: string;
  /** Uses per window, at least 1. */
  readonly limit: number;
  readonly windowSeconds: number;
}

export interface RateVerdict {
  readonly allowed: boolean;
  /** 0 when allowed; else milliseconds until one more would be. */
  readonly retryAfterMs: number;
}

export interface RateLimiter {
  /** Takes one use. Throws Failure limiter_unavailable. */
  take(rule: RateRule): Promise<RateVerdict>;
}

// Generic cell rate (ITU-T I.371): the key holds the moment at which the whole allowance will be there again.
// KEYS: the cell. ARGV: microseconds between uses, microseconds of the window. Redis' own time, so that all agree.
const TAKE = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local next = full + interval
if next - now > window then return math.ceil((next - now - window) / 1000) end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return 0
`);

const MICROSECONDS = 1_000_000;

export function createRateLimiter({ redis }: { readonly redis: RedisConnection }): RateLimiter {
  return {
    async take({ key, limit, windowSeconds }) {
      const windowMicroseconds = windowSeconds * MICROSECONDS;
      const interval = Math.ceil(windowMicroseconds / limit);
      try {
        // The window is `limit` whole intervals, so that rounding never costs the last use.
        const reply = await redis.script(TAKE, [redis.key(`limit:${key}`)], [interval, interval * limit]);
        const retryAfterMs = Number(reply);
        return { allowed: retryAfterMs === 0, retryAfterMs };
      } catch (error) {
        throw fail('limiter_unavailable', { cause: error });
      }
    },
  };
}
