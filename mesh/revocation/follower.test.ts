// How old a heartbeat may make what is held, whatever the clock that judges it.
import { expect, it } from 'vitest';
import { createClock } from '#mesh/time';
import { Follower, type StreamHead } from './follower.ts';

const start = Date.UTC(2026, 0, 1);

it('a heartbeat that lay in Redis confirms nothing newer than itself and sets no clock back', async () => {
  const host = { monotonic: 0 };
  const clock = createClock({ wall: () => start + host.monotonic, monotonic: () => host.monotonic });
  const trueTime = (): number => start + host.monotonic;
  const head = (): StreamHead => ({ incarnation: 'i', head: 1, databaseTimeMs: trueTime() });
  const follower = new Follower({
    stream: 'caracal.policy.invalidate',
    apply: () => true,
    recover: async () => {
      clock.observe(trueTime(), host.monotonic);
      return head();
    },
    maxStalenessMs: 5000,
    clock,
    logger: { warn: () => undefined },
  });
  await follower.recover();
  expect(follower.isFresh).toBe(true);
  host.monotonic += 40_000;
  expect(follower.isFresh).toBe(false);
  const data = JSON.stringify({
    incarnation: 'i',
    beat: '1',
    head: '1',
    unpublishedMs: '0',
    databaseTime: new Date(trueTime() - 30_000).toISOString(),
  });
  const entry = { stream: 'caracal.policy.invalidate' as const, id: '1-0', fields: { hb: '1', data } };
  follower.accept(entry, { issuedAtMonotonicMs: host.monotonic, reachedEnd: true });
  expect(follower.isFresh).toBe(false);
  expect(clock.now()).toBe(trueTime());
});
