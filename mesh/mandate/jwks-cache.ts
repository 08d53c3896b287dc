// Holds the verification keys of zones: fresh for five minutes, usable for ten more while the STS does not answer, fetched
// by one caller for all. The zone comes from a token nobody has verified, so everything an invented zone can cost is bounded.
import { fail } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { LRUCache } from 'lru-cache';
import type { KeyObject } from 'node:crypto';
import { readJwks, type Jwks } from './jwks.ts';
import type { KeySource } from './verifier.ts';

export interface JwksCacheOptions {
  /**
   * The zone's JWK set, undefined when there is no such zone; rejects when nobody can say. Must have its own deadline. `kid`
   * is the key that is wanted: whoever answers from memory without it should look again first.
   */
  readonly fetchJwks: (zoneId: string, kid: string) => Promise<Jwks | undefined>;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly maxZones?: number;
  readonly onFetch?: (outcome: 'read' | 'absent' | 'error' | 'refused') => void;
}

export interface JwksCache extends KeySource {
  /** The zone's keys changed: the next use reads them anew. */
  invalidate(zoneId: string): void;
  readonly size: number;
}

interface ZoneKeys {
  readonly keys: ReadonlyMap<string, KeyObject>;
  readonly readAt: number;
  freshUntil: number;
  // When an id that is not in the set may cause another read.
  unknownKeyReadAt: number;
}

// authority.md: 5 min fresh, stale for 10 min more, so that a retired key is gone after 15.
const FRESH_MS = 5 * 60_000;
const STALE_MS = 10 * 60_000;
// Unknown ids are what an attacker invents: twelve reads a minute and zone are nothing to whoever answers from memory, and a
// key that signs at once, because the one before leaked, is known after five seconds at the latest.
const UNKNOWN_KEY_PAUSE_MS = 5_000;
// A zone made a moment ago must not stay unknown for long.
const ABSENT_MS = 5_000;
// After a failed read the STS is left alone for a moment and the held keys serve.
const ERROR_PAUSE_MS = 2_000;
// One set is about 1 KiB.
const MAX_ZONES = 10_000;
// Reads of zones not held are shared out: invented zones wait behind no more than these.
const MAX_READS = 32;

class ZoneKeyCache implements JwksCache {
  readonly #options: JwksCacheOptions;
  readonly #held: LRUCache<string, ZoneKeys>;
  // Absent zones stand apart so that inventing zones pushes no real one out.
  readonly #absentUntil: LRUCache<string, number>;
  readonly #reads = new Map<string, Promise<ZoneKeys | undefined>>();
  readonly #outdated = new Set<string>();

  constructor(options: JwksCacheOptions) {
    this.#options = options;
    this.#held = new LRUCache({ max: options.maxZones ?? MAX_ZONES });
    this.#absentUntil = new LRUCache({ max: MAX_ZONES });
  }

  get size(): number {
    return this.#held.size;
  }

  invalidate(zoneId: string): void {
    this.#absentUntil.delete(zoneId);
    // A read that began before the change may bring the set from before it.
    if (this.#reads.has(zoneId)) this.#outdated.add(zoneId);
    const held = this.#held.peek(zoneId);
    if (held === undefined) return;
    held.freshUntil = Number.NEGATIVE_INFINITY;
    held.unknownKeyReadAt = Number.NEGATIVE_INFINITY;
  }

  async publicKey(zoneId: string, kid: string): Promise<KeyObject | undefined> {
    const now = this.#options.clock.monotonic();
    const held = this.#held.get(zoneId);
    if (held !== undefined && now < held.freshUntil) {
      const key = held.keys.get(kid);
      if (key !== undefined || now < held.unknownKeyReadAt) return key;
      held.unknownKeyReadAt = now + UNKNOWN_KEY_PAUSE_MS;
    } else if (held === undefined && now < (this.#absentUntil.get(zoneId) ?? 0)) {
      return undefined;
    }
    return this.#readFor(zoneId, kid, held);
  }

  async #readFor(zoneId: string, kid: string, held: ZoneKeys | undefined): Promise<KeyObject | undefined> {
    const isShared = this.#reads.has(zoneId);
    const zone = await this.#readOrServeStale(zoneId, kid, held);
    const key = zone?.keys.get(kid);
    if (key !== undefined || zone === undefined || !isShared) return key;
    // A read that was under way was asked for another key, perhaps before this one was published.
    return (await this.#readOrServeStale(zoneId, kid, zone))?.keys.get(kid);
  }

  async #readOrServeStale(zoneId: string, kid: string, held: ZoneKeys | undefined): Promise<ZoneKeys | undefined> {
    try {
      return await this.#coalesced(zoneId, kid, held !== undefined);
    } catch (error) {
      const now = this.#options.clock.monotonic();
      if (held === undefined || now >= held.readAt + FRESH_MS + STALE_MS) {
        throw fail('sts_unavailable', { privateDetail: 'zone keys could not be read', cause: error });
      }
      held.freshUntil = Math.min(now + ERROR_PAUSE_MS, held.readAt + FRESH_MS + STALE_MS);
      return held;
    }
  }

  #coalesced(zoneId: string, kid: string, isHeld: boolean): Promise<ZoneKeys | undefined> {
    const running = this.#reads.get(zoneId);
    if (running !== undefined) return running;
    if (!isHeld && this.#reads.size >= MAX_READS) {
      this.#options.onFetch?.('refused');
      return Promise.reject(new Error('too many zones are being read'));
    }
    const read = this.#read(zoneId, kid).finally(() => {
      this.#reads.delete(zoneId);
      this.#outdated.delete(zoneId);
    });
    this.#reads.set(zoneId, read);
    return read;
  }

  async #read(zoneId: string, kid: string): Promise<ZoneKeys | undefined> {
    const { fetchJwks, clock, onFetch } = this.#options;
    const readAt = clock.monotonic();
    const jwks = await fetchJwks(zoneId, kid).catch((error: unknown) => {
      onFetch?.('error');
      throw error;
    });
    if (jwks === undefined) {
      onFetch?.('absent');
      this.#held.delete(zoneId);
      this.#absentUntil.set(zoneId, clock.monotonic() + ABSENT_MS);
      return undefined;
    }
    onFetch?.('read');
    const freshUntil = this.#outdated.has(zoneId) ? Number.NEGATIVE_INFINITY : readAt + FRESH_MS;
    const keys = readJwks(jwks);
    // A read that found what it was made for lets the next unknown id have one.
    const unknownKeyReadAt = keys.has(kid) ? Number.NEGATIVE_INFINITY : readAt + UNKNOWN_KEY_PAUSE_MS;
    const zone = { keys, readAt, freshUntil, unknownKeyReadAt };
    this.#held.set(zoneId, zone);
    return zone;
  }
}

export function createJwksCache(options: JwksCacheOptions): JwksCache {
  return new ZoneKeyCache(options);
}
