import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ManualClock } from './index.ts';

describe('a manual clock', () => {
  test('stands still until it is moved', async () => {
    const clock = new ManualClock(1000);
    expect([clock.now(), clock.monotonic()]).toEqual([1000, 0]);
    await clock.advance(250);
    expect([clock.now(), clock.monotonic()]).toEqual([1250, 250]);
    await expect(clock.advance(-1)).rejects.toThrow(RangeError);
  });

  test('wakes sleepers in the order of their times, equal ones in the order of their calls', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(50), { maxLength: 12 }), async (waits) => {
        const clock = new ManualClock();
        const woken: { at: number; index: number; wait: number }[] = [];
        const sleeping = waits.map((wait, index) =>
          clock.sleep(wait).then(() => woken.push({ at: clock.monotonic(), index, wait })),
        );
        expect(clock.sleeping()).toBe(waits.length);
        await clock.advance(50);
        await Promise.all(sleeping);
        expect(woken.every(({ at, wait }) => at === wait)).toBe(true);
        expect(woken).toEqual(woken.toSorted((left, right) => left.wait - right.wait || left.index - right.index));
      }),
      { numRuns: 30 },
    );
  });

  test('lets a loop that sleeps run as often as it would have', async () => {
    const clock = new ManualClock(0);
    const ticks: number[] = [];
    const stop = new AbortController();
    const loop = (async () => {
      for (;;) {
        await clock.sleep(100, stop.signal);
        ticks.push(clock.now());
      }
    })().catch((error: unknown) => error);
    await clock.advance(350);
    expect(ticks).toEqual([100, 200, 300]);
    stop.abort(new Error('done'));
    expect(await loop).toMatchObject({ message: 'done' });
    expect(clock.sleeping()).toBe(0);
  });

  test('does not wake who sleeps longer', async () => {
    const clock = new ManualClock();
    let isAwake = false;
    const sleeping = clock.sleep(101).then(() => (isAwake = true));
    await clock.advance(100);
    expect(isAwake).toBe(false);
    await clock.advance(1);
    await sleeping;
    expect(isAwake).toBe(true);
  });

  test('refuses to sleep on an aborted signal', async () => {
    const reason = new Error('no');
    await expect(new ManualClock().sleep(1, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  test('is not moved by observations', () => {
    const clock = new ManualClock(5);
    clock.observe(99, 0);
    expect([clock.now(), clock.offsetMs(), clock.isSet()]).toEqual([5, 0, true]);
  });
});
