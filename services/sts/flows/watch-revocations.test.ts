import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import { mandateAnchors } from '#mesh/mandate';
import type { MandateClaims, VerifiedMandate } from '#mesh/mandate';
import { ManualClock } from '#mesh/time';
import { createWatchPlaces } from '../domain/watch-places.ts';
import { createEvidenceMemory } from '../outbound/memory/judging-memory.ts';
import { createRevocationFeedMemory } from '../outbound/memory/token-ends-memory.ts';
import { watchRevocations } from './watch-revocations.ts';
import type { WatchFrame } from './watch-revocations.ts';

const issuer = 'https://sts.test';
const zoneId = 'zone-a';
const startMs = Date.UTC(2026, 10, 1);

function setUp(limits = { inAll: 4, perZone: 2 }) {
  const clock = new ManualClock(startMs);
  const revocations = createRevocationFeedMemory();
  const evidence = createEvidenceMemory();
  const watchPlaces = createWatchPlaces(limits);
  const deps = { issuer, clock, revocations, evidence, watchPlaces, mandateReader: { anchorsOf: mandateAnchors } };
  const mandateOf = (change: Partial<MandateClaims> = {}): VerifiedMandate => {
    const iat = startMs / 1000;
    const ids = { jti: 'jti', sid: 'sid', root_sid: 'sid', client_id: 'app', sub: 'app', zone_id: zoneId };
    const kind = { use: 'ambient', sub_type: 'application', aud: [issuer], iss: issuer } as const;
    const claims: MandateClaims = { ...ids, ...kind, iat, exp: iat + 60, rev: 0, ...change };
    return { token: 't', digest: 'd', kid: 'key-1', claims };
  };
  const gone = { abandoned: 0, stop: new AbortController() };
  const watch = (change: Partial<MandateClaims> = {}, zone = zoneId) =>
    watchRevocations(deps, {
      asked: { requestId: 'r', traceId: undefined },
      zoneId: zone,
      mandate: mandateOf(change),
      proven: undefined,
      signal: gone.stop.signal,
      abandon: () => void (gone.abandoned += 1),
    });
  return { ...deps, watch, gone };
}

/** The next frame, moving the clock on until there is one; throws what the stream throws. */
async function next(clock: ManualClock, frames: AsyncGenerator<WatchFrame>): Promise<WatchFrame | 'ended'> {
  let isSettled = false;
  const asked = frames.next().finally(() => (isSettled = true));
  const moved = (async () => {
    for (let rounds = 0; !isSettled && rounds < 200; rounds += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!isSettled) await clock.advance(500);
    }
  })();
  const [result] = await Promise.all([asked, moved]);
  return result.done === true ? 'ended' : result.value;
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no failure';
  } catch (error) {
    return error instanceof Failure ? error.reason : String(error);
  }
}

describe('a watcher', () => {
  it('whose mandate was revoked hears of it and no more, though anchors flow without pause', async () => {
    const { revocations, clock, watch } = setUp();
    const frames = watch();
    await next(clock, frames);
    revocations.push({ zoneId, kind: 'jti', id: 'jti' });
    const told: unknown[] = [];
    const ended = (async () => {
      for (let at = 0; at < 10; at += 1) {
        revocations.push({ zoneId, kind: 'jti', id: `other-${at}` });
        told.push(await next(clock, frames));
      }
    })();
    expect(await reasonOf(ended)).toBe('token_revoked');
    expect(told).toMatchObject([{ kind: 'revocations', anchors: [{ id: 'jti' }, { id: 'other-0' }] }]);
  });

  it('misses nothing that is applied between its snapshot and the first wait', async () => {
    const { revocations, clock, watch } = setUp();
    revocations.push({ zoneId, kind: 'jti', id: 'before' });
    const frames = watch();
    expect(await next(clock, frames)).toMatchObject({ kind: 'snapshot', head: 1, complete: true });
    revocations.push({ zoneId, kind: 'jti', id: 'during' });
    revocations.push({ zoneId: 'zone-b', kind: 'jti', id: 'foreign' });
    const told = await next(clock, frames);
    expect(told).toMatchObject({ kind: 'revocations', head: 3, anchors: [{ id: 'during', number: 2 }] });
    await frames.return(undefined);
  });

  it('gets an empty snapshot that says so, and a heartbeat each second after', async () => {
    const { clock, watch, revocations } = setUp();
    const frames = watch();
    expect(await next(clock, frames)).toEqual({ kind: 'snapshot', head: 0, anchors: [], complete: true });
    const before = clock.monotonic();
    expect(await next(clock, frames)).toEqual({ kind: 'heartbeat', head: 0, fresh: true });
    expect(clock.monotonic() - before).toBeLessThanOrEqual(1500);
    revocations.fresh = false;
    expect(await next(clock, frames)).toEqual({ kind: 'heartbeat', head: 0, fresh: false });
    await frames.return(undefined);
  });

  it('never hears of a head whose anchors it has not been sent', async () => {
    const { clock, watch, revocations } = setUp();
    const frames = watch();
    await next(clock, frames);
    for (let n = 0; n < 2500; n += 1) revocations.push({ zoneId, kind: 'jti', id: `j${n}` });
    const sent = new Set<number>();
    for (;;) {
      const frame = await next(clock, frames);
      if (frame === 'ended' || frame.kind !== 'revocations') break;
      for (const { number } of frame.anchors) sent.add(number);
      expect(Math.max(...sent, 0)).toBeGreaterThanOrEqual(frame.head);
    }
    expect(sent.size).toBe(2500);
    await frames.return(undefined);
  });

  it('starts again when numbers begin anew', async () => {
    const { clock, watch, revocations } = setUp();
    revocations.push({ zoneId, kind: 'jti', id: 'a' });
    const frames = watch();
    await next(clock, frames);
    revocations.restart();
    expect(await reasonOf(next(clock, frames))).toBe('revocation_stale');
  });
});

describe('a stream', () => {
  it('ends with its mandate, quietly, and leaves nothing behind', async () => {
    const { clock, watch, revocations, watchPlaces } = setUp();
    const frames = watch();
    let last: WatchFrame | 'ended' = await next(clock, frames);
    for (let rounds = 0; last !== 'ended' && rounds < 200; rounds += 1) last = await next(clock, frames);
    expect(last).toBe('ended');
    expect(clock.now()).toBeGreaterThanOrEqual(startMs + 60_000);
    expect({ listeners: revocations.listeners, taken: watchPlaces.taken }).toEqual({ listeners: 0, taken: 0 });
  });

  it('tells of the anchor that ends it, then ends', async () => {
    const { clock, watch, revocations } = setUp();
    const frames = watch();
    await next(clock, frames);
    revocations.push({ zoneId, kind: 'session', id: 'sid' });
    expect(await next(clock, frames)).toMatchObject({ kind: 'revocations', anchors: [{ id: 'sid' }] });
    expect(await reasonOf(next(clock, frames))).toBe('token_revoked');
    expect(revocations.listeners).toBe(0);
  });

  it.each([
    ['of another zone', { zone_id: 'zone-b' }],
    ['per call', { use: 'per_call', aud: ['resource://a'] }],
    ['made for an upstream', { via: 'gateway' }],
    ['bound and not proven', { cnf: { jkt: 'k' } }],
  ] as const)('is not for a mandate that is %s, and leaves evidence', async (_name, change) => {
    const { clock, watch, evidence, watchPlaces } = setUp();
    expect(await reasonOf(next(clock, watch(change)))).toBe('invalid_token');
    expect(evidence.events).toMatchObject([
      { eventType: 'revocation.watch', decision: 'deny', zoneId: 'zone_id' in change ? change.zone_id : zoneId },
    ]);
    expect(watchPlaces.taken).toBe(0);
  });

  it('takes one of the places of its zone and gives it back', async () => {
    const { clock, watch, watchPlaces } = setUp();
    const [first, second] = [watch(), watch()];
    await next(clock, first);
    await next(clock, second);
    expect(await reasonOf(next(clock, watch()))).toBe('rate_limited');
    await first.return(undefined);
    expect(watchPlaces.taken).toBe(1);
    const third = watch();
    expect(await next(clock, third)).toMatchObject({ kind: 'snapshot' });
    await Promise.all([second.return(undefined), third.return(undefined)]);
    expect(watchPlaces.taken).toBe(0);
  });

  it('is cut when a frame is not taken for fifteen seconds', async () => {
    const { clock, watch, gone, revocations } = setUp();
    const frames = watch();
    await next(clock, frames);
    expect(gone.abandoned).toBe(0);
    // The frame was given, and nobody asks for the next one: to the watcher it is still under way.
    await clock.advance(20_000);
    expect(gone.abandoned).toBe(1);
    await frames.return(undefined);
    expect(revocations.listeners).toBe(0);
  });
});

describe('places', () => {
  it('leave room for other zones whatever one zone takes', () => {
    const places = createWatchPlaces({ inAll: 3, perZone: 2 });
    const leave = [places.enter('a'), places.enter('a')];
    expect(places.enter('a')).toBeUndefined();
    expect(places.enter('b')).toBeDefined();
    expect(places.enter('c')).toBeUndefined();
    leave[0]?.();
    leave[0]?.();
    expect(places.taken).toBe(2);
    expect(places.enter('c')).toBeDefined();
  });
});
