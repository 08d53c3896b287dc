import { expect, it } from 'vitest';
import { createClock } from '#mesh/time';
import { createSuspensionWatch } from './suspension.ts';

function setUp() {
  const host = { wall: Date.UTC(2026, 0, 1), monotonic: 0 };
  const clock = createClock({ wall: () => host.wall, monotonic: () => host.monotonic });
  clock.observe(host.wall, 0);
  const wasSuspended = createSuspensionWatch(clock);
  const pass = (wallMs: number, monotonicMs: number): boolean => {
    host.wall += wallMs;
    host.monotonic += monotonicMs;
    return wasSuspended();
  };
  return { pass };
}

it('notices a standstill that is shorter than what a lease leaves, once', () => {
  const { pass } = setUp();
  expect(pass(100, 100)).toBe(false);
  expect(pass(500, 100)).toBe(true);
  expect(pass(100, 100)).toBe(false);
});

it('does not take slewing for a standstill, however long it goes on', () => {
  const { pass } = setUp();
  // 500 parts in a million, the most that a kernel slews, for an hour.
  for (let look = 0; look < 36_000; look += 1) expect(pass(100.05, 100)).toBe(false);
});
