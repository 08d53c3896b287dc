import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createClock } from './index.ts';

/** A host whose two clocks a test moves apart. */
function host() {
  const times = { wall: 1_000_000, monotonic: 500 };
  const clock = createClock({ wall: () => times.wall, monotonic: () => times.monotonic });
  const pass = (ms: number): void => {
    times.wall += ms;
    times.monotonic += ms;
  };
  return { times, clock, pass };
}

describe('a disciplined clock', () => {
  test("is the host's time until the database has been heard", () => {
    const { clock, pass } = host();
    expect(clock.isSet()).toBe(false);
    pass(5);
    expect(clock.now()).toBe(1_000_005);
    expect(clock.offsetMs()).toBe(0);
  });

  test("carries the database's time forward with the monotonic clock", () => {
    const { clock, pass } = host();
    clock.observe(9_000_000, clock.monotonic());
    expect(clock.isSet()).toBe(true);
    pass(1234);
    expect(clock.now()).toBe(9_001_234);
    expect(clock.offsetMs()).toBe(8_000_000);
  });

  test('does not notice steps of the host clock, in either direction', () => {
    const { clock, times, pass } = host();
    clock.observe(9_000_000, clock.monotonic());
    for (const step of [300_000, -900_000]) {
      times.wall += step;
      pass(10);
    }
    expect(clock.now()).toBe(9_000_020);
  });

  test('is never off by more than the read took', () => {
    fc.assert(
      fc.property(fc.nat(2000), fc.nat(2000), fc.nat(100_000), (before, after, later) => {
        const { clock, times, pass } = host();
        const issued = clock.monotonic();
        pass(before);
        const trueOffset = 7_000_000 - times.monotonic;
        pass(after);
        clock.observe(7_000_000, issued);
        pass(later);
        expect(Math.abs(clock.now() - (times.monotonic + trueOffset))).toBeLessThanOrEqual(Math.max(before, after));
      }),
    );
  });

  test('stays where it is while observations do not prove it wrong', () => {
    const { clock, pass } = host();
    clock.observe(9_000_000, clock.monotonic());
    const issued = clock.monotonic();
    pass(40);
    // The read happened somewhere in these 40 ms, and 9,000,010 is among its possible times.
    clock.observe(9_000_010, issued);
    expect(clock.now()).toBe(9_000_040);
  });

  test('holds still over a small correction backwards and never goes back', () => {
    const { clock, pass } = host();
    clock.observe(9_000_000, clock.monotonic());
    pass(100);
    expect(clock.now()).toBe(9_000_100);
    clock.observe(9_000_000, clock.monotonic());
    expect(clock.now()).toBe(9_000_100);
    pass(60);
    expect(clock.now()).toBe(9_000_100);
    pass(60);
    expect(clock.now()).toBe(9_000_120);
  });

  test('follows a large step of the database at once', () => {
    const { clock } = host();
    clock.observe(9_000_000, clock.monotonic());
    expect(clock.now()).toBe(9_000_000);
    clock.observe(8_000_000, clock.monotonic());
    expect(clock.now()).toBe(8_000_000);
  });

  test('ignores observations that are no times', () => {
    const { clock } = host();
    clock.observe(Number.NaN, 0);
    clock.observe(5, Number.POSITIVE_INFINITY);
    expect(clock.isSet()).toBe(false);
  });

  test('sleeps at least as long as asked and stops when told to', async () => {
    const clock = createClock();
    const start = clock.monotonic();
    await clock.sleep(20);
    expect(clock.monotonic() - start).toBeGreaterThanOrEqual(18);
    const controller = new AbortController();
    const reason = new Error('enough');
    const sleeping = clock.sleep(3_000_000_000, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(clock.sleep(10, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
