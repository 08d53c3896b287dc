import { describe, expect, it } from 'vitest';
import { createFreshCache } from './fresh-cache.ts';

interface Thing {
  readonly version: number;
}

function setUp(max = 100) {
  const truth = new Map<string, Thing>();
  const state = { now: 0, fresh: true, reads: 0, gate: Promise.resolve() };
  const cache = createFreshCache<Thing>({
    read: async (key) => {
      state.reads += 1;
      const value = truth.get(key);
      await state.gate;
      return value;
    },
    max,
    isFresh: () => state.fresh,
    maxStalenessMs: 5000,
    maxAgeMs: 60_000,
    monotonic: () => state.now,
  });
  return { truth, state, cache };
}

describe('a fresh cache', () => {
  it('reads once for all who wait, and not again while its stream is complete', async () => {
    const { truth, state, cache } = setUp();
    truth.set('a', { version: 1 });
    const all = await Promise.all([cache.get('a'), cache.get('a'), cache.get('a')]);
    expect(all).toEqual([{ version: 1 }, { version: 1 }, { version: 1 }]);
    state.now = 59_999;
    await cache.get('a');
    expect(state.reads).toBe(1);
    state.now = 60_000;
    await cache.get('a');
    expect(state.reads).toBe(2);
  });

  it('believes an answer only for the staleness limit once its stream is not complete', async () => {
    const { truth, state, cache } = setUp();
    truth.set('a', { version: 1 });
    await cache.get('a');
    state.fresh = false;
    state.now = 4999;
    await cache.get('a');
    expect(state.reads).toBe(1);
    state.now = 5000;
    await cache.get('a');
    expect(state.reads).toBe(2);
  });

  it('tells the new truth after a drop, even one that comes while it is being read', async () => {
    const { truth, state, cache } = setUp();
    truth.set('a', { version: 1 });
    let open = (): void => {};
    state.gate = new Promise((resolve) => {
      open = resolve;
    });
    const reading = cache.get('a');
    truth.set('a', { version: 2 });
    cache.drop('a');
    open();
    expect(await reading).toEqual({ version: 2 });
    truth.set('a', { version: 3 });
    cache.dropAll();
    expect(await cache.get('a')).toEqual({ version: 3 });
  });

  it('reads again for a caller whom the remembered answer does not do, and remembers absence for a moment only', async () => {
    const { truth, state, cache } = setUp();
    truth.set('a', { version: 1 });
    await cache.get('a');
    truth.set('a', { version: 2 });
    expect(await cache.get('a', ({ version }) => version >= 2)).toEqual({ version: 2 });
    expect(await cache.get('b')).toBeUndefined();
    expect(await cache.get('b')).toBeUndefined();
    expect(state.reads).toBe(3);
    truth.set('b', { version: 1 });
    state.now = 501;
    expect(await cache.get('b')).toEqual({ version: 1 });
  });

  it('holds no more than its bound', async () => {
    const { truth, cache } = setUp(10);
    for (let n = 0; n < 50; n += 1) {
      truth.set(String(n), { version: n });
      await cache.get(String(n));
    }
    expect(cache.size).toBe(10);
  });

  it('gives a failure to all who wait and keeps none of it', async () => {
    const state = { fail: true };
    const cache = createFreshCache<Thing>({
      read: async () => {
        if (state.fail) throw new Error('away');
        return { version: 1 };
      },
      max: 10,
      isFresh: () => true,
      maxStalenessMs: 1,
      maxAgeMs: 1,
      monotonic: () => 0,
    });
    await expect(Promise.all([cache.get('a'), cache.get('a')])).rejects.toThrow('away');
    state.fail = false;
    expect(await cache.get('a')).toEqual({ version: 1 });
  });

  it('forgets by the beginning of keys, what is being read included, and keeps the rest', async () => {
    const { truth, state, cache } = setUp();
    for (const key of ['z1 a', 'z1 b', 'z2 a']) {
      truth.set(key, { version: 1 });
      await cache.get(key);
    }
    await cache.get('z1 absent');
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    truth.set('z1 c', { version: 1 });
    const reading = cache.get('z1 c');
    for (const key of ['z1 a', 'z1 c', 'z1 absent']) truth.set(key, { version: 2 });
    cache.dropPrefix('z1 ');
    gate.resolve();
    expect(await Promise.all([reading, cache.get('z1 a'), cache.get('z1 absent')])).toEqual(
      Array.from({ length: 3 }, () => ({ version: 2 })),
    );
    const { reads } = state;
    await cache.get('z2 a');
    expect(state.reads).toBe(reads);
  });
});
