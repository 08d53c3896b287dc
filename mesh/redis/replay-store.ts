// Says whether something that may be used once was used before (per-call jti, DPoP jti, client-assertion jti, id token).
// The answer comes from Redis alone; this process only remembers what is already spent.
import { fail, type Failure } from '#mesh/failure';
import { LRUCache } from 'lru-cache';
import { defineScript, type RedisConnection } from './connection.ts';
import type { MemoryWatch } from './memory-watch.ts';

export type ReplayKind = 'per_call' | 'dpop' | 'client_assertion' | 'id_token';

export interface Spend {
  readonly zoneId: string;
  readonly kind: ReplayKind;
  readonly id: string;
  /** How long the thing could still be presented. */
  readonly ttlMs: number;
  /**
   * When it was issued, epoch milliseconds (the beginning of its second where only the second is known). What is older than
   * Redis' memory is refused, because nobody can say that it was not used: as used, or, what others signed, as not known.
   */
  readonly issuedAtMs?: number | undefined;
}

export interface ReplayStore {
  /**
   * 'first' once per (zone, kind, id) in the installation. Throws Failure replay_store_unavailable, with a time to come back
   * after for what others signed before Redis' memory began.
   */
  spend(spend: Spend): Promise<'first' | 'replayed'>;
  /**
   * Whether Redis' memory reaches back to that moment (epoch milliseconds): what may have been shown before counts as used.
   * True while it is not known, because `spend` refuses to say anything then.
   */
  remembers(issuedAtMs: number): boolean;
}

export interface ReplayStoreOptions {
  readonly redis: RedisConnection;
  /** Knows since when Redis remembers. Without it a loss of Redis' memory goes unnoticed. */
  readonly memory?: MemoryWatch | undefined;
  /** Bounds the set of ids known to be used (JTI_CACHE_SIZE). */
  readonly knownUsedLimit?: number | undefined;
}

const KNOWN_USED_LIMIT = 10_000;
// A thing about to expire is still marked for as long as clocks may differ.
const SHORTEST_TTL_MS = 1_000;

// A mandate or a proof is made anew at once and then judged by its own age. These are made by clocks that may be behind, so
// that one made this very moment can count as older too: who shows it must hear of waiting, not of a replay.
const signedByOthers: ReadonlySet<ReplayKind> = new Set(['client_assertion', 'id_token']);

// KEYS: the marker, the incarnation. ARGV: life in ms, the incarnation this process has confirmed or ''.
// Answers 1 first, 0 used, -1 when Redis' memory is not the one that was confirmed.
const SPEND = defineScript(`
if ARGV[2] ~= '' and redis.call('HGET', KEYS[2], 'id') ~= ARGV[2] then return -1 end
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
`);

function notKnown(retryAfterMs: number): Failure {
  return fail('replay_store_unavailable', {
    description: 'Whether this was used before is not known any more; come back with one that is made later.',
    retryAfterMs,
    privateDetail: 'older than the memory of redis',
  });
}

export function createReplayStore({ redis, memory, knownUsedLimit }: ReplayStoreOptions): ReplayStore {
  const knownUsed = new LRUCache<string, true>({ max: knownUsedLimit ?? KNOWN_USED_LIMIT });

  async function ask(key: string, ttlMs: number): Promise<number> {
    const confirmed = memory?.current();
    if (memory !== undefined && confirmed === undefined) throw fail('replay_store_unavailable');
    const keys = [redis.key(key), redis.key('caracal:incarnation')];
    try {
      return Number(
        await redis.script(SPEND, keys, [Math.max(SHORTEST_TTL_MS, Math.ceil(ttlMs)), confirmed?.id ?? '']),
      );
    } catch (error) {
      throw fail('replay_store_unavailable', { cause: error });
    }
  }

  /** By how much that moment is older than Redis' memory. */
  function beforeMemoryMs(issuedAtMs: number): number {
    return (memory?.current()?.sinceMs ?? issuedAtMs) - issuedAtMs;
  }

  return {
    async spend({ zoneId, kind, id, ttlMs, issuedAtMs }) {
      const key = `seen:${kind}:${zoneId}:${id}`;
      if (knownUsed.has(key)) return 'replayed';
      const answer = await ask(key, ttlMs);
      if (answer === -1) {
        memory?.doubt();
        throw fail('replay_store_unavailable', { privateDetail: 'redis lost its memory' });
      }
      knownUsed.set(key, true);
      if (answer !== 1) return 'replayed';
      const olderByMs = issuedAtMs === undefined ? 0 : beforeMemoryMs(issuedAtMs);
      if (olderByMs > 0 && signedByOthers.has(kind)) throw notKnown(olderByMs);
      return olderByMs > 0 ? 'replayed' : 'first';
    },
    remembers(issuedAtMs) {
      return beforeMemoryMs(issuedAtMs) <= 0;
    },
  };
}
