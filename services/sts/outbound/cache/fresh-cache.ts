// A bounded memory of point reads that is only believed while its stream says it is complete. A miss is one read shared
// by all who wait; a key that is dropped while it is being read is read again, so that no answer is older than its drop.
import { LRUCache } from 'lru-cache';

export interface FreshCacheOptions<V> {
  /** Reads the truth; undefined when the thing does not exist. */
  readonly read: (key: string) => Promise<V | undefined>;
  readonly max: number;
  /** True while the stream that drops keys is known to be complete. */
  readonly isFresh: () => boolean;
  /** Without the stream an answer is believed this long. */
  readonly maxStalenessMs: number;
  /** Even with the stream nothing is believed longer. */
  readonly maxAgeMs: number;
  readonly monotonic: () => number;
  readonly onLookup?: (hit: boolean) => void;
}

export interface FreshCache<V> {
  /** `accept` refuses a remembered answer that is not good enough for this caller; it is then read anew. */
  get(key: string, accept?: (value: V) => boolean): Promise<V | undefined>;
  drop(key: string): void;
  /** Every key that begins so. */
  dropPrefix(prefix: string): void;
  dropAll(): void;
  readonly size: number;
}

interface Entry<V> {
  readonly value: V;
  readonly readAtMs: number;
}

interface Reading<V> {
  promise: Promise<V | undefined>;
  dropped: boolean;
}

/** What does not exist may be created any moment; remembering it this long keeps guessing from reaching the database. */
const absentMs = 500;
const maxAbsent = 10_000;
/** A key that is dropped again and again while being read is a fault elsewhere; the last answer is given but not kept. */
const maxReads = 5;

type Memory = Pick<LRUCache<string, object | number>, 'keys' | 'delete'>;

/** Forgetting, in what is remembered and in what is being read now. */
function createDrops(
  memories: readonly Memory[],
  readings: ReadonlyMap<string, { dropped: boolean }>,
): Pick<FreshCache<object>, 'drop' | 'dropPrefix' | 'dropAll'> {
  const dropPrefix = (prefix: string): void => {
    for (const memory of memories) {
      for (const key of memory.keys()) if (key.startsWith(prefix)) memory.delete(key);
    }
    for (const [key, reading] of readings) if (key.startsWith(prefix)) reading.dropped = true;
  };
  return {
    drop(key) {
      for (const memory of memories) memory.delete(key);
      const reading = readings.get(key);
      if (reading) reading.dropped = true;
    },
    dropPrefix,
    dropAll: () => dropPrefix(''),
  };
}

export function createFreshCache<V extends object>(options: FreshCacheOptions<V>): FreshCache<V> {
  const known = new LRUCache<string, Entry<V>>({ max: options.max });
  const absent = new LRUCache<string, number>({ max: maxAbsent });
  const readings = new Map<string, Reading<V>>();

  function remembered(key: string): V | undefined {
    const entry = known.get(key);
    const limitMs = options.isFresh() ? options.maxAgeMs : options.maxStalenessMs;
    return entry && options.monotonic() - entry.readAtMs < limitMs ? entry.value : undefined;
  }

  async function readUntilKept(key: string, reading: Reading<V>): Promise<V | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      reading.dropped = false;
      // The age counts from before the read: what it returns is at least as new as that.
      const readAtMs = options.monotonic();
      const value = await options.read(key);
      if (reading.dropped && attempt < maxReads) continue;
      if (reading.dropped) return value;
      if (value) known.set(key, { value, readAtMs });
      else {
        known.delete(key);
        absent.set(key, readAtMs);
      }
      return value;
    }
  }

  async function read(key: string): Promise<V | undefined> {
    const before = readings.get(key);
    if (before) return before.promise;
    const reading: Reading<V> = { promise: Promise.resolve(undefined), dropped: false };
    readings.set(key, reading);
    reading.promise = readUntilKept(key, reading).finally(() => readings.delete(key));
    return reading.promise;
  }

  return {
    async get(key, accept) {
      const value = remembered(key);
      const good = value !== undefined && (accept === undefined || accept(value));
      options.onLookup?.(good);
      if (good) return value;
      const absentAtMs = accept ? undefined : absent.get(key);
      if (absentAtMs !== undefined && options.monotonic() - absentAtMs < absentMs) return undefined;
      return read(key);
    },
    ...createDrops([known, absent], readings),
    get size() {
      return known.size;
    },
  };
}
