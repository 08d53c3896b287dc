// Revoked means refused: a request that arrives after the barrier has returned is refused, whatever was paused or dead
// meanwhile. Either the barrier waits for an enforcement point, or that point is gone and may serve nothing.
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mandateOf } from '../../bench/proofs/governed-zone.ts';
import type { Seen } from '../../bench/proofs/governed-zone.ts';
import { eventually, reasonOf, stalenessMs, startOutageBed, type OutageBed, type Session } from './outage-bed.ts';

let bed: OutageBed;

beforeAll(async () => {
  bed = await startOutageBed();
});

afterAll(async () => bed[Symbol.asyncDispose]());

afterEach(async () => {
  await bed.recovered();
  await bed.settled();
}, 120_000);

const path = '/reports/held';

/** A session whose verdict the Gateway may give again, so that the Gateway alone would let it through. */
async function warmSession(): Promise<Session> {
  const session = await bed.startSession();
  for (let n = 0; n < 3; n += 1) await bed.call(session.mandate, { path, kind: 'session' });
  return session;
}

const call = async (session: Session): Promise<Seen> => bed.call(session.mandate, { path, kind: 'session' });

/** What a Gateway that comes back answers: refused as revoked, or for not knowing; never served. */
const refusals = new Set(['token_revoked', 'revocation_stale', 'sts_unavailable', 'failed']);

async function expectRefusedEver(session: Session): Promise<void> {
  const arrived = (seen: Seen): number => bed.zone.upstream.seen.get(seen.requestId) ?? 0;
  await eventually('a refusal as revoked', async () => {
    const seen = await call(session);
    expect([...refusals]).toContain(seen.reason);
    expect(arrived(seen)).toBe(0);
    return seen.reason === 'token_revoked';
  });
}

describe('a Gateway that was paused', () => {
  it('for a moment: the barrier waits for it', async () => {
    const gateway = bed.installation.part('gateway');
    const session = await warmSession();
    gateway.signal('SIGSTOP');
    const startedMs = performance.now();
    let isOver = false;
    const ending = bed.endSession(session).finally(() => (isOver = true));
    await sleep(1000);
    const wasOver = isOver;
    gateway.signal('SIGCONT');
    expect(await ending).toBe(true);
    expect({ wasOver, waited: performance.now() - startedMs >= 1000 }).toEqual({ wasOver: false, waited: true });
    expect(await call(session)).toMatchObject({ status: 401, reason: 'token_revoked' });
  });

  it('for long: it is given up, and serves nothing of what was revoked when it wakes', async () => {
    const gateway = bed.installation.part('gateway');
    const session = await warmSession();
    gateway.signal('SIGSTOP');
    expect(await bed.endSession(session)).toBe(true);
    // Arrived after the barrier, in the hands of a process that does not know yet that it has slept.
    const waiting = Array.from({ length: 5 }, async () => call(session));
    await sleep(200);
    gateway.signal('SIGCONT');
    for (const seen of await Promise.all(waiting)) expect([...refusals]).toContain(seen.reason);
    await expectRefusedEver(session);
  });

  it('and Redis with it: it reads the database before it serves again', async () => {
    const [gateway, redis] = [bed.installation.part('gateway'), bed.installation.part('redis')];
    const session = await warmSession();
    gateway.signal('SIGSTOP');
    await redis.kill();
    expect(await bed.endSession(session)).toBe(true);
    gateway.signal('SIGCONT');
    await expectRefusedEver(session);
    await redis.start();
  });
});

describe('a paused STS', () => {
  it('cannot mint from what was revoked meanwhile', async () => {
    const sts = bed.installation.part('sts');
    const session = await warmSession();
    sts.signal('SIGSTOP');
    const exchange = bed.exchange({
      subject_token: session.mandate,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: bed.zone.facts.resource,
    });
    await bed.endSession(session, { waitApplied: false });
    await sleep(stalenessMs);
    sts.signal('SIGCONT');
    expect((await exchange).status).not.toBe(200);
  });

  it('holds the barrier while nobody can say that it is gone, and the revocation stands', async () => {
    const sts = bed.installation.part('sts');
    const session = await warmSession();
    sts.signal('SIGSTOP');
    expect(await reasonOf(bed.endSession(session, { timeoutMs: 1500 }))).toBe('barrier_timeout');
    await eventually('the Gateway’s refusal', async () => (await call(session)).reason === 'token_revoked');
    sts.signal('SIGCONT');
    expect(await bed.endSession(session)).toBe(true);
  });
});

describe('a stream that lost entries', () => {
  it('does not hide a revocation: the hole is read from the database', async () => {
    const redis = new Redis(bed.installation.stack.addresses.redisUrl);
    try {
      const sessions = [await warmSession(), await warmSession()];
      const emptying = setInterval(() => void redis.xtrim('caracal.sessions.revoke', 'MAXLEN', 0), 1);
      for (const session of sessions) {
        expect(await bed.endSession(session)).toBe(true);
        expect(await call(session)).toMatchObject({ status: 401, reason: 'token_revoked' });
      }
      clearInterval(emptying);
    } finally {
      redis.disconnect();
    }
  });

  it('of a Redis that forgot everything: what was revoked before stays refused', async () => {
    const redis = new Redis(bed.installation.stack.addresses.redisUrl);
    const session = await warmSession();
    expect(await bed.endSession(session)).toBe(true);
    await redis.flushall();
    redis.disconnect();
    expect(await call(session)).toMatchObject({ status: 401, reason: 'token_revoked' });
    await eventually('fresh calls', async () => {
      const { resource } = bed.zone.facts;
      const minted = await bed.exchange({ resource, scope: 'reports:read' });
      return (await bed.call(mandateOf(minted))).status === 200;
    });
    expect(await call(session)).toMatchObject({ status: 401, reason: 'token_revoked' });
  });
});
