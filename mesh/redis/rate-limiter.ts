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

// Generic cell rate (ITU-T I.371): each key holds the moment at which the whole allowance will be there again.
// KEYS: the cells. ARGV: for each the microseconds between uses and those of the window. Redis' own time, so that all agree.
// What cannot be read counts as unused, so that one cell never fails the others that came with it.
const TAKE = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answers = {}
for i = 1, #KEYS do
  local interval = tonumber(ARGV[2 * i - 1])
  local window = tonumber(ARGV[2 * i])
  local kept = redis.pcall('GET', KEYS[i])
  local full = math.max(type(kept) == 'string' and tonumber(kept) or 0, now)
  local next = full + interval
  if next - now > window then
    answers[i] = math.ceil((next - now - window) / 1000)
  else
    redis.call('SET', KEYS[i], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
    answers[i] = 0
  end
end
return answers
`);

const MICROSECONDS = 1_000_000;
/** Redis does nothing else meanwhile: about a quarter of a millisecond. */
const BATCH = 128;

interface Waiting {
  readonly rule: RateRule;
  readonly settle: (verdict: RateVerdict) => void;
  readonly abandon: (error: unknown) => void;
}

async function takeAll(redis: RedisConnection, batch: readonly Waiting[]): Promise<void> {
  const keys = batch.map(({ rule }) => redis.key(`limit:${rule.key}`));
  const args = batch.flatMap(({ rule: { limit, windowSeconds } }) => {
    const interval = Math.ceil((windowSeconds * MICROSECONDS) / limit);
    // The window is `limit` whole intervals, so that rounding never costs the last use.
    return [interval, interval * limit];
  });
  try {
    const replies = (await redis.script(TAKE, keys, args)) as readonly unknown[];
    for (const [index, { settle }] of batch.entries()) {
      const retryAfterMs = Number(replies[index]);
      settle({ allowed: retryAfterMs === 0, retryAfterMs });
    }
  } catch (error) {
    for (const { abandon } of batch) abandon(fail('limiter_unavailable', { cause: error }));
  }
}

/** Uses that are taken in one turn of the event loop are one call to Redis. */
export function createRateLimiter({ redis }: { readonly redis: RedisConnection }): RateLimiter {
  let waiting: Waiting[] = [];

  function flush(): void {
    const all = waiting;
    waiting = [];
    for (let at = 0; at < all.length; at += BATCH) void takeAll(redis, all.slice(at, at + BATCH));
  }

  return {
    async take(rule) {
      return new Promise((settle, abandon) => {
        if (waiting.length === 0) setImmediate(flush);
        waiting.push({ rule, settle, abandon });
      });
    },
  };
}
