// How long keys are trusted, and what an invented zone or key id may cost.
import { testKey, ZONE } from '#test/mandates';
import { ManualClock } from '#mesh/time';
import { describe, expect, it } from 'vitest';
import { createJwksCache, readJwks, zoneJwk, type Jwks } from './index.ts';

const MINUTE = 60_000;
const first = testKey('key-1');
const second = testKey('key-2');
const setOf = (...keys: (typeof first)[]): Jwks => ({
  keys: keys.map(({ kid, publicKey }) => zoneJwk(kid, publicKey)),
});

function setUp(answer: () => Promise<Jwks | undefined> | Jwks | undefined) {
  const clock = new ManualClock();
  const fetched: string[] = [];
  const outcomes: string[] = [];
  const cache = createJwksCache({
    clock,
    onFetch: (outcome) => outcomes.push(outcome),
    fetchJwks: async (zoneId) => {
      fetched.push(zoneId);
      return await answer();
    },
  });
  return { cache, clock, fetched, outcomes };
}

const away = (): Promise<never> => Promise.reject(new Error('away'));

describe('keys of a zone', () => {
  it('are read once for all who ask at the same time', async () => {
    const { cache, fetched } = setUp(() => setOf(first));
    const keys = await Promise.all(Array.from({ length: 20 }, () => cache.publicKey(ZONE, 'key-1')));
    expect(keys.every((key) => key?.equals(first.publicKey))).toBe(true);
    expect(fetched).toHaveLength(1);
  });

  it('are fresh for five minutes', async () => {
    const { cache, clock, fetched } = setUp(() => setOf(first));
    await cache.publicKey(ZONE, 'key-1');
    await clock.advance(5 * MINUTE - 1);
    await cache.publicKey(ZONE, 'key-1');
    expect(fetched).toHaveLength(1);
    await clock.advance(1);
    await cache.publicKey(ZONE, 'key-1');
    expect(fetched).toHaveLength(2);
  });

  it('serve for ten minutes more while nobody answers, and not a moment longer', async () => {
    let answer: () => Promise<Jwks> | Jwks = () => setOf(first);
    const { cache, clock } = setUp(() => answer());
    await cache.publicKey(ZONE, 'key-1');
    answer = away;
    await clock.advance(15 * MINUTE - 1);
    expect(await cache.publicKey(ZONE, 'key-1')).toBeDefined();
    await clock.advance(1);
    await expect(cache.publicKey(ZONE, 'key-1')).rejects.toMatchObject({ reason: 'sts_unavailable' });
  });

  it('that cannot be read are no missing keys', async () => {
    const { cache } = setUp(away);
    await expect(cache.publicKey(ZONE, 'key-1')).rejects.toMatchObject({ reason: 'sts_unavailable' });
  });

  it('are read anew after an invalidation, even one during a read', async () => {
    let release = (_set: Jwks): void => undefined;
    let answer: () => Promise<Jwks> | Jwks = () => new Promise<Jwks>((resolve) => (release = resolve));
    const { cache, fetched } = setUp(() => answer());
    const reading = cache.publicKey(ZONE, 'key-2');
    cache.invalidate(ZONE);
    release(setOf(first));
    expect(await reading).toBeUndefined();
    answer = () => setOf(first, second);
    expect(await cache.publicKey(ZONE, 'key-2')).toBeDefined();
    cache.invalidate(ZONE);
    answer = () => setOf(second);
    expect(await cache.publicKey(ZONE, 'key-1')).toBeUndefined();
    expect(fetched).toHaveLength(3);
  });
});

describe('a key that was published a moment ago', () => {
  it('is read for by its id, so that whoever answers from memory looks again', async () => {
    const wanted: string[] = [];
    const cache = createJwksCache({
      clock: new ManualClock(),
      fetchJwks: async (_zone, kid) => {
        wanted.push(kid);
        return kid === 'key-2' ? setOf(first, second) : setOf(first);
      },
    });
    expect(await cache.publicKey(ZONE, 'key-1')).toBeDefined();
    expect(await cache.publicKey(ZONE, 'key-2')).toBeDefined();
    expect(wanted).toEqual(['key-1', 'key-2']);
  });

  it('is found by one who joined a read that was made for another key', async () => {
    const release: ((set: Jwks) => void)[] = [];
    const { cache, fetched } = setUp(() => new Promise<Jwks>((resolve) => release.push(resolve)));
    const [one, other] = [cache.publicKey(ZONE, 'key-1'), cache.publicKey(ZONE, 'key-2')];
    release[0]?.(setOf(first));
    expect(await one).toBeDefined();
    await Promise.resolve();
    release[1]?.(setOf(first, second));
    expect(await other).toBeDefined();
    expect(fetched).toHaveLength(2);
  });
});

describe('what a stranger can cause', () => {
  it('an unknown key id reads the set once in five seconds', async () => {
    const { cache, clock, fetched } = setUp(() => setOf(first));
    await cache.publicKey(ZONE, 'key-1');
    await clock.advance(5_000);
    for (let attempt = 0; attempt < 50; attempt += 1) await cache.publicKey(ZONE, `invented-${attempt}`);
    expect(fetched).toHaveLength(2);
  });

  it('an invented zone is asked about once in five seconds and pushes no real one out', async () => {
    const { cache, clock, fetched, outcomes } = setUp(() => undefined);
    for (let attempt = 0; attempt < 10; attempt += 1) expect(await cache.publicKey('zone-x', 'k')).toBeUndefined();
    expect(fetched).toHaveLength(1);
    await clock.advance(5_000);
    await cache.publicKey('zone-x', 'k');
    expect(outcomes).toEqual(['absent', 'absent']);
    expect(cache.size).toBe(0);
  });

  it('many invented zones at once are read thirty-two at a time', async () => {
    const { cache, fetched, outcomes } = setUp(() => new Promise<never>(() => undefined));
    const asked = Array.from({ length: 40 }, (_unused, index) => cache.publicKey(`zone-${index}`, 'k'));
    const refused = await Promise.allSettled(asked.slice(32));
    expect(refused.every(({ status }) => status === 'rejected')).toBe(true);
    expect(fetched).toHaveLength(32);
    expect(outcomes).toEqual(Array.from({ length: 8 }, () => 'refused'));
  });
});

describe('a published set', () => {
  const jwk = zoneJwk('key-1', first.publicKey);

  it.each([
    ['a key for encryption', { ...jwk, use: 'enc' }],
    ['a key for other operations', { ...jwk, key_ops: ['encrypt'] }],
    ['a key for another algorithm', { ...jwk, alg: 'ES384' }],
    ['a key on another curve', { ...jwk, crv: 'P-384' }],
    ['a private key', { ...jwk, d: jwk.x }],
    ['a point off the curve', { ...jwk, y: jwk.x }],
    ['a short coordinate', { ...jwk, x: 'AQ' }],
    ['a symmetric key', { kty: 'oct', k: 'AAAA', kid: 'key-1' }],
    ['no object', 'key-1'],
    ['no kid', { ...jwk, kid: undefined }],
  ])('gives no key for %s', (_name, hostile) => {
    expect(readJwks({ keys: [hostile] }).size).toBe(0);
  });

  it('gives neither of two keys under one id', () => {
    expect(readJwks({ keys: [jwk, zoneJwk('key-1', second.publicKey)] }).size).toBe(0);
  });

  it('is read no further than a zone can need', () => {
    const many = Array.from({ length: 100 }, (_unused, index) => ({ ...jwk, kid: `key-${index}` }));
    expect(readJwks({ keys: many }).size).toBe(32);
  });
});
