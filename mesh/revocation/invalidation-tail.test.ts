// Caches that follow an invalidation stream: what they are told, when they must forget everything, when they are fresh.
import { revocationOwner } from '#test/revocation-owner';
import { ManualClock } from '#mesh/time';
import { afterEach, expect, it } from 'vitest';
import { createInvalidationTail, type InvalidationTail } from './index.ts';

const silent = { info: () => undefined, warn: () => undefined };
const open: InvalidationTail[] = [];

afterEach(async () => {
  for (const tail of open.splice(0)) await tail[Symbol.asyncDispose]();
});

async function setUp({ hasHead = true } = {}) {
  const clock = new ManualClock();
  const owner = revocationOwner(clock, 'zone-1');
  const heard: string[] = [];
  const tail = createInvalidationTail({
    stream: 'caracal.policy.invalidate',
    openTail: owner.openTail,
    ...(hasHead ? { head: owner.source.head } : {}),
    onEntry: (payload, number) => heard.push(`${number} ${JSON.stringify(payload)}`),
    onReset: () => void heard.push('reset'),
    clock,
    logger: silent,
  });
  open.push(tail);
  tail.start();
  await clock.advance(0);
  const entry = (number: number, data = '{"zoneId":"z"}'): void =>
    owner.deliver({ incarnation: owner.incarnation, number: String(number), data });
  return { clock, owner, tail, heard, entry };
}

it('begins with a reset, then hands on each entry once and in order', async () => {
  const { tail, heard, entry } = await setUp();
  expect(heard).toEqual(['reset']);
  expect(tail.isFresh()).toBe(true);
  entry(1);
  entry(1);
  entry(2, '{"zoneId":"y"}');
  expect(heard).toEqual(['reset', '1 {"zoneId":"z"}', '2 {"zoneId":"y"}']);
  expect(tail.applied()).toBe(2);
});

it('resets on a hole, and is not moved past it before', async () => {
  const { owner, tail, heard, entry, clock } = await setUp();
  await clock.advance(500);
  owner.revoke('1');
  owner.revoke('2');
  owner.revoke('3');
  entry(3);
  expect(tail.applied()).toBe(0);
  await clock.advance(200);
  expect(heard).toEqual(['reset', 'reset']);
  expect(tail.applied()).toBe(3);
});

it('resets on an entry that is no JSON', async () => {
  const { owner, heard, entry, clock } = await setUp();
  await clock.advance(500);
  owner.revoke('1');
  entry(1, '{');
  await clock.advance(200);
  expect(heard).toEqual(['reset', 'reset']);
});

it('resets when numbering begins anew, and is not fresh until it has', async () => {
  const { owner, tail, heard, clock } = await setUp();
  await clock.advance(1_000);
  owner.incarnation = 'i-2';
  owner.beat();
  expect(tail.isFresh()).toBe(false);
  await clock.advance(500);
  expect(heard).toEqual(['reset', 'reset']);
  expect(tail.isFresh()).toBe(true);
});

it('stays fresh by the owner while the stream is silent, without a reset when nothing changed', async () => {
  const { tail, heard, clock } = await setUp();
  await clock.advance(20_000);
  expect(tail.isFresh()).toBe(true);
  expect(heard).toEqual(['reset']);
});

it('without the owner is fresh only by heartbeats, and begins with the first', async () => {
  const { owner, tail, heard, clock } = await setUp({ hasHead: false });
  await clock.advance(2_000);
  expect(tail.isFresh()).toBe(false);
  expect(heard).toEqual([]);
  owner.beat();
  await clock.advance(300);
  expect(heard).toEqual(['reset']);
  expect(tail.isFresh()).toBe(true);
  await clock.advance(5_000);
  expect(tail.isFresh()).toBe(false);
});
