// The public keys of subject issuers: read over the guarded egress, kept ten minutes, served stale while the issuer is
// away, and read anew for an unknown key no more than twice a minute.
import { createLocalJWKSet } from 'jose';
import type { JSONWebKeySet } from 'jose';
import { LRUCache } from 'lru-cache';
import { parseStrictJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { Egress } from '../../ports/egress.ts';

export type KeySet = ReturnType<typeof createLocalJWKSet>;

export interface IssuerKeysOptions {
  readonly egress: Egress;
  readonly clock: Pick<Clock, 'monotonic'>;
}

export interface IssuerKeys {
  /** `anew`: the keys at hand lack one that a token names. Throws `issuer_unavailable`. */
  get(issuer: SubjectIssuer, options?: { readonly anew: boolean }): Promise<KeySet>;
}

interface ReadSet {
  readonly keys: KeySet;
  /** Length of the text they were read from. */
  readonly size: number;
}

interface Held extends ReadSet {
  readonly readAtMs: number;
}

/** reference notes §4. */
const maxBytes = 256 * 1024;
const freshMs = 10 * 60_000;
/** An issuer that is away this long may have changed its keys for a reason. */
const staleMs = 60 * 60_000;
/** Between two reads that an unknown key or a failure asks for: whoever invents key ids must not reach the issuer. */
const pauseMs = 30_000;
const afterFailureMs = 5000;
/** An issuer per zone and some; each holds a few keys. */
const maxIssuers = 2000;
/** Usual sets have a few KiB, so that all of them stay; of the largest there are, a hundred and some do. */
const maxHeldCharacters = 32 * 1024 * 1024;
/** A set longer than this is no set of signing keys. */
const maxKeys = 100;

async function read({ egress }: IssuerKeysOptions, issuer: SubjectIssuer): Promise<ReadSet> {
  const outcome = await egress.request({
    zoneId: issuer.zoneId,
    url: issuer.jwksUrl,
    method: 'GET',
    headers: { accept: 'application/jwk-set+json, application/json' },
    maxBytes,
  });
  const unavailable = (cause: string): Error => fail('issuer_unavailable', { privateDetail: `jwks_${cause}` });
  if (outcome.kind === 'failed') throw unavailable(outcome.fault);
  if (outcome.status !== 200) throw unavailable(`status_${outcome.status}`);
  try {
    const document = parseStrictJson(outcome.text, { maxBytes, maxDepth: 8 }) as unknown as JSONWebKeySet;
    if (!Array.isArray(document.keys) || document.keys.length > maxKeys) throw unavailable('not_a_set');
    return { keys: createLocalJWKSet(document), size: outcome.text.length };
  } catch (error) {
    throw fail('issuer_unavailable', { privateDetail: 'jwks_malformed', cause: error });
  }
}

export function createIssuerKeys(options: IssuerKeysOptions): IssuerKeys {
  const held = new LRUCache<string, Held>({
    max: maxIssuers,
    maxSize: maxHeldCharacters,
    sizeCalculation: ({ size }) => Math.max(1, size),
  });
  const triedAtMs = new LRUCache<string, number>({ max: maxIssuers });
  const reading = new Map<string, Promise<KeySet>>();
  const now = (): number => options.clock.monotonic();

  async function readOnce(key: string, issuer: SubjectIssuer): Promise<KeySet> {
    const under = reading.get(key);
    if (under) return under;
    triedAtMs.set(key, now());
    const begun = read(options, issuer)
      .then((set) => {
        held.set(key, { ...set, readAtMs: now() });
        return set.keys;
      })
      .finally(() => reading.delete(key));
    reading.set(key, begun);
    return begun;
  }

  /** False while another read was begun so recently that this one would only repeat it. */
  function mayRead(key: string, pause: number): boolean {
    return reading.has(key) || now() - (triedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) >= pause;
  }

  return {
    async get(issuer, { anew } = { anew: false }) {
      // Another address is another set, so that a changed registration never answers with the keys of before.
      const key = `${issuer.zoneId} ${issuer.id} ${issuer.jwksUrl}`;
      const known = held.get(key);
      const age = known ? now() - known.readAtMs : Number.POSITIVE_INFINITY;
      if (known && age < freshMs && !anew) return known.keys;
      const usable = age < staleMs ? known?.keys : undefined;
      if (usable) return mayRead(key, pauseMs) ? readOnce(key, issuer).catch(() => usable) : usable;
      if (mayRead(key, afterFailureMs)) return readOnce(key, issuer);
      throw fail('issuer_unavailable', { privateDetail: 'jwks_just_failed', retryAfterMs: afterFailureMs });
    },
  };
}
