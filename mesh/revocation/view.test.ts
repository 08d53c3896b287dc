// What an enforcement point may believe, and when it must refuse everybody.
import { revocationOwner } from '#test/revocation-owner';
import { ManualClock } from '#mesh/time';
import { afterEach, describe, expect, it } from 'vitest';
import { createRevocationView, type Anchor, type RevocationView } from './index.ts';

const ZONE = 'zone-1';
const silent = { info: () => undefined, warn: () => undefined };
const open: RevocationView[] = [];

afterEach(async () => {
  for (const view of open.splice(0)) await view[Symbol.asyncDispose]();
});

interface SetUpOptions {
  readonly isMember?: boolean;
  readonly anchors?: number;
}

async function setUp({ isMember = true, anchors = 0 }: SetUpOptions = {}) {
  const clock = new ManualClock();
  const owner = revocationOwner(clock, ZONE);
  for (let count = 0; count < anchors; count += 1) owner.revoke(`old-${count}`);
  const { source, openTail, membership } = owner;
  const view = createRevocationView({
    source,
    openTail,
    clock,
    logger: silent,
    ...(isMember ? { membership } : {}),
  });
  open.push(view);
  await view.start();
  const hit = (id: string, rev = 0): Anchor | undefined => view.refuses(ZONE, rev, [{ kind: 'session', id }]);
  /** Time passes with a heartbeat each second, as a healthy relay sends them. */
  const healthy = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await clock.advance(Math.min(1_000, ms - passed));
      owner.beat();
    }
  };
  return { clock, owner, view, hit, healthy };
}

describe('at the start', () => {
  it('the row is inserted before the first snapshot, and nobody is served before a renewal', async () => {
    const { owner, view } = await setUp({ anchors: 3 });
    expect(owner.calls).toEqual(['register', 'head', 'after 0', 'renew 3']);
    expect(view.applied()).toBe(3);
    view.assertUsable();
  });

  it('a snapshot of any length is read to its end', async () => {
    const { view, hit } = await setUp({ anchors: 2_500 });
    expect(view.applied()).toBe(2_500);
    expect(hit('old-2499')?.number).toBe(2_500);
  });

  it('a database that is away is waited for', async () => {
    const clock = new ManualClock();
    const owner = revocationOwner(clock, ZONE);
    owner.isDatabaseAway = true;
    const view = createRevocationView({ ...owner, clock, logger: silent });
    open.push(view);
    const started = view.start();
    await clock.advance(2_000);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    owner.isDatabaseAway = false;
    await clock.advance(1_000);
    await started;
    view.assertUsable();
  });
});

describe('an anchor', () => {
  it('refuses what was issued before it, and nothing issued after', async () => {
    const { owner, hit } = await setUp();
    const anchor = owner.revoke('s-1');
    owner.publish(anchor);
    expect(hit('s-1', 0)).toEqual(anchor);
    expect(hit('s-1', 1)).toBeUndefined();
    expect(hit('s-2', 0)).toBeUndefined();
  });

  it('on a zone key refuses whatever `rev` a mandate claims', async () => {
    const { owner, view } = await setUp();
    owner.publish(owner.revoke('key-1', 'zone_key'));
    for (const rev of [0, 1, 2, Number.MAX_SAFE_INTEGER]) {
      expect(view.refuses(ZONE, rev, [{ kind: 'zone_key', id: 'key-1' }])).toBeDefined();
      expect(view.refuses(ZONE, rev, [{ kind: 'zone_key', id: 'key-2' }])).toBeUndefined();
    }
  });

  it('of another zone or another kind hits nothing', async () => {
    const { owner, view } = await setUp();
    owner.publish(owner.revoke('s-1'));
    expect(view.refuses('zone-2', 0, [{ kind: 'session', id: 's-1' }])).toBeUndefined();
    expect(view.refuses(ZONE, 0, [{ kind: 'jti', id: 's-1' }])).toBeUndefined();
  });

  it('is applied in the turn it arrives, told to listeners, and renewed within ten milliseconds', async () => {
    const { owner, view, clock } = await setUp();
    const heard: number[] = [];
    const stop = view.onAnchor(({ number }) => heard.push(number));
    const anchors = [owner.revoke('s-1'), owner.revoke('s-2'), owner.revoke('s-3')];
    for (const anchor of anchors) owner.publish(anchor);
    expect(view.applied()).toBe(3);
    expect(heard).toEqual([1, 2, 3]);
    await clock.advance(10);
    expect(owner.calls.filter((call) => call.startsWith('renew'))).toEqual(['renew 0', 'renew 3']);
    stop();
    owner.publish(owner.revoke('s-4'));
    expect(heard).toEqual([1, 2, 3]);
  });

  it('keeps its highest number when the same thing is revoked again', async () => {
    const { owner, hit } = await setUp();
    owner.publish(owner.revoke('s-1'));
    owner.publish(owner.revoke('s-1'));
    expect(hit('s-1', 1)?.number).toBe(2);
  });

  it('is dropped when everything it could refuse has expired', async () => {
    const { owner, hit, healthy } = await setUp();
    owner.publish(owner.revoke('s-1'));
    await healthy(3_660_000);
    expect(hit('s-1')).toBeDefined();
    await healthy(121_000);
    expect(hit('s-1')).toBeUndefined();
  });
});

describe('order', () => {
  it('a hole is not stepped over: the owner is read, and what was missing is applied', async () => {
    const { owner, view, hit, clock } = await setUp();
    await clock.advance(500);
    const lost = owner.revoke('lost');
    owner.publish(owner.revoke('seen'));
    expect(view.applied()).toBe(0);
    await clock.advance(100);
    expect(view.applied()).toBe(2);
    expect(hit('lost')).toEqual(lost);
  });

  it('entries shown again or out of order change nothing', async () => {
    const { owner, view, hit } = await setUp();
    const [first, second] = [owner.revoke('s-1'), owner.revoke('s-2')];
    owner.publish(first);
    owner.publish(second);
    owner.publish(first);
    expect(view.applied()).toBe(2);
    expect(hit('s-1')?.number).toBe(1);
  });

  it.each([
    ['no number', { incarnation: 'i-1', data: '{}' }],
    ['a number that is none', { incarnation: 'i-1', number: '-1', data: '{}' }],
    ['no incarnation', { number: '1', data: '{}' }],
    ['a heartbeat without content', { hb: '1', data: '{}' }],
    ['a heartbeat that is no JSON', { hb: '1', data: '{' }],
    ['nothing', {}],
  ])('an entry with %s is ignored', async (_name, fields) => {
    const { owner, view, clock } = await setUp();
    owner.deliver(fields);
    await clock.advance(500);
    expect(view.applied()).toBe(0);
    expect(owner.calls.filter((call) => call === 'head')).toHaveLength(1);
  });

  it('an entry that cannot be understood is read from the owner instead of being skipped', async () => {
    const { owner, view, hit, clock } = await setUp();
    await clock.advance(500);
    const anchor = owner.revoke('s-1');
    owner.deliver({ incarnation: 'i-1', number: '1', data: JSON.stringify({ number: '9', zone_id: ZONE }) });
    expect(view.applied()).toBe(0);
    await clock.advance(100);
    expect(hit('s-1')).toEqual(anchor);
  });

  it('a heartbeat whose head stays ahead for 200 ms makes the owner be read', async () => {
    const { owner, view, clock } = await setUp();
    await clock.advance(1_000);
    owner.revoke('never published');
    owner.beat();
    await clock.advance(150);
    expect(view.applied()).toBe(0);
    await clock.advance(150);
    expect(view.applied()).toBe(1);
  });

  it('another incarnation is read from its beginning, and nobody is served meanwhile', async () => {
    const { owner, view, hit, clock } = await setUp({ anchors: 5 });
    await clock.advance(1_000);
    owner.incarnation = 'i-2';
    owner.isDatabaseAway = true;
    owner.beat();
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    await clock.advance(500);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    owner.isDatabaseAway = false;
    await clock.advance(1_000);
    view.assertUsable();
    expect(view.applied()).toBe(5);
    expect(hit('old-1')).toBeDefined();
  });
});

describe('freshness', () => {
  it('lasts while heartbeats come, without a read of the owner', async () => {
    const { owner, view, healthy } = await setUp();
    await healthy(20_000);
    view.assertUsable();
    expect(owner.calls.filter((call) => call === 'head')).toHaveLength(1);
  });

  it('is kept by a read a second when the stream is silent', async () => {
    const { owner, view, clock } = await setUp();
    await clock.advance(20_000);
    view.assertUsable();
    const reads = owner.calls.filter((call) => call === 'head').length;
    expect(reads).toBeGreaterThanOrEqual(15);
    expect(reads).toBeLessThanOrEqual(22);
  });

  it('finds what was revoked while the stream was silent', async () => {
    const { owner, hit, clock } = await setUp();
    owner.revoke('s-1');
    await clock.advance(2_600);
    expect(hit('s-1')).toBeDefined();
  });

  it('ends when neither stream nor owner confirms, is told once, and comes back', async () => {
    const { owner, view, clock } = await setUp({ isMember: false });
    let cuts = 0;
    view.onStale(() => (cuts += 1));
    owner.isDatabaseAway = true;
    await clock.advance(4_999);
    view.assertUsable();
    await clock.advance(1);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    await clock.advance(10_000);
    expect(cuts).toBe(1);
    owner.isDatabaseAway = false;
    await clock.advance(1_100);
    view.assertUsable();
  });

  it('counts from when a read was issued and not from when it was answered', async () => {
    const { owner, view, clock } = await setUp({ isMember: false });
    owner.isDatabaseAway = true;
    await clock.advance(4_000);
    owner.beat({ issuedAt: 1_000 });
    await clock.advance(1_999);
    view.assertUsable();
    await clock.advance(1);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
  });

  it.each([
    ['shown again', { databaseTimeMs: 0 }],
    ['that lay in Redis for longer than the limit', { databaseTimeMs: 1 }],
    ['of a relay that is behind', { unpublishedMs: 5_000 }],
    ['whose head is not applied', { head: 99 }],
  ])('is not renewed by a heartbeat %s', async (_name, overrides) => {
    const { owner, view, clock } = await setUp({ isMember: false });
    const start = clock.now();
    owner.beat();
    owner.isDatabaseAway = true;
    await clock.advance(4_900);
    const { databaseTimeMs } = overrides as { readonly databaseTimeMs?: number };
    owner.beat({
      ...overrides,
      ...(databaseTimeMs === undefined ? {} : { databaseTimeMs: start + databaseTimeMs }),
    });
    await clock.advance(101);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
  });

  it('is not renewed by an entry that proves nothing about the head', async () => {
    const { owner, view, clock } = await setUp({ isMember: false });
    const anchor = owner.revoke('s-1');
    owner.isDatabaseAway = true;
    await clock.advance(4_900);
    owner.publish(anchor);
    await clock.advance(100);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
  });

  it('of a head that was ahead is confirmed once everything up to it is applied', async () => {
    const { owner, view, clock } = await setUp({ isMember: false });
    await clock.advance(1_000);
    owner.isDatabaseAway = true;
    const anchor = owner.revoke('s-1');
    owner.beat();
    owner.publish(anchor);
    await clock.advance(4_999);
    expect(view.isFresh()).toBe(true);
    await clock.advance(1);
    expect(view.isFresh()).toBe(false);
  });

  it('ends when Redis forgot what the cursor stood on, until the owner was read', async () => {
    const { owner, view, clock } = await setUp({ isMember: false });
    await clock.advance(1_000);
    owner.forget();
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    owner.turn();
    await clock.advance(0);
    view.assertUsable();
  });
});

describe('the lease', () => {
  it('lasts 90 % of the limit from when the last renewal was sent', async () => {
    const { owner, view, clock } = await setUp();
    await clock.advance(1_000);
    owner.isDatabaseAway = true;
    for (let second = 0; second < 4; second += 1) {
      await clock.advance(1_000);
      owner.beat();
      view.assertUsable();
    }
    await clock.advance(499);
    expect(view.mayServe()).toBe(true);
    await clock.advance(1);
    expect(view.mayServe()).toBe(false);
    expect(view.isFresh()).toBe(true);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
  });

  it('is renewed every second', async () => {
    const { owner, healthy } = await setUp();
    await healthy(10_000);
    const renewals = owner.calls.filter((call) => call.startsWith('renew')).length;
    expect(renewals).toBeGreaterThanOrEqual(10);
    expect(renewals).toBeLessThanOrEqual(12);
  });

  it('of a row that was counted as gone ends at once; a new row, then a read, then a renewal', async () => {
    const { owner, view, clock } = await setUp();
    await clock.advance(900);
    owner.isRowGone = true;
    owner.calls.length = 0;
    let wasRefused = false;
    view.onStale(() => (wasRefused = true));
    owner.beat();
    await clock.advance(700);
    owner.beat();
    const [gone, register, head, after, renew] = owner.calls;
    expect([gone, register, head, after, renew]).toEqual(['renew 0', 'register', 'head', 'after 0', 'renew 0']);
    await clock.advance(200);
    view.assertUsable();
    expect(wasRefused || view.mayServe()).toBe(true);
  });

  it('ends with the view, and the row with it, so that no barrier waits', async () => {
    const clock = new ManualClock();
    const owner = revocationOwner(clock, ZONE);
    const view = createRevocationView({ ...owner, clock, logger: silent });
    await view.start();
    await view[Symbol.asyncDispose]();
    expect([owner.calls.at(-1), owner.isRowGone, view.mayServe()]).toEqual(['leave', true, false]);
  });

  it('ends with the view although the owner is away', async () => {
    const clock = new ManualClock();
    const owner = revocationOwner(clock, ZONE);
    const view = createRevocationView({ ...owner, clock, logger: silent });
    await view.start();
    owner.isDatabaseAway = true;
    await view[Symbol.asyncDispose]();
    expect(view.mayServe()).toBe(false);
  });

  it('does not outlive a renewal that hangs', async () => {
    const clock = new ManualClock();
    const owner = revocationOwner(clock, ZONE);
    let isHanging = false;
    const membership = {
      ...owner.membership,
      renew: (applied: number) =>
        isHanging ? new Promise<never>(() => undefined) : owner.membership.renew(applied, {}),
    };
    const view = createRevocationView({ ...owner, membership, clock, logger: silent });
    open.push(view);
    await view.start();
    isHanging = true;
    await clock.advance(4_500);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    isHanging = false;
    await clock.advance(2_000);
    view.assertUsable();
  });
});

describe('a machine that was suspended', () => {
  it('serves nobody until owner and renewal have answered again', async () => {
    const suspended = new SuspendableClock();
    const owner = revocationOwner(suspended, ZONE);
    const view = createRevocationView({ ...owner, clock: suspended, logger: silent });
    open.push(view);
    await view.start();
    await suspended.advance(1_000);
    owner.beat();
    view.assertUsable();
    suspended.suspend(60_000);
    owner.isDatabaseAway = true;
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    owner.beat({ databaseTimeMs: suspended.now() + 1 });
    await suspended.advance(300);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    owner.isDatabaseAway = false;
    await suspended.advance(600);
    view.assertUsable();
  });
});

/** The monotonic clock stands still during a suspension, the wall clock does not. */
class SuspendableClock extends ManualClock {
  #suspendedMs = 0;

  suspend(ms: number): void {
    this.#suspendedMs += ms;
  }

  override offsetMs(): number {
    return -this.#suspendedMs;
  }
}
