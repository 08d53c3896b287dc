// Waiting at the barrier: until every enforcement point that is not gone has applied a revocation. It stands alone because
// every service that revokes waits the same way.
import { fail } from '#mesh/failure';
import type { Database } from '#mesh/postgres';
import type { Clock } from '#mesh/time';
import { readBarrier, readRevocationHead } from './postgres-source.ts';

/** What a wait came to. */
export interface BarrierReport {
  readonly applied: boolean;
  /** Live enforcement points. */
  readonly points: number;
  /** Points given up as gone since the revocation was written. */
  readonly gone: number;
  readonly elapsedMs: number;
}

/** Promise: resolves when the number is applied everywhere; else `barrier_timeout` at the deadline, naming the points missing. The revocation stands either way. */
export interface RevocationBarrier {
  wait(revocationNumber: number, deadlineMs: number): Promise<BarrierReport>;
  /**
   * Waits for everything revoked so far: for a call that found its work done by an earlier one, whose answer may have
   * been lost before its barrier.
   */
  waitForAll(deadlineMs: number): Promise<BarrierReport>;
}

/** Points renew at once after applying, coalesced to 10 ms: asking much oftener learns nothing. */
const pollMs = 5;
const slowestPollMs = 50;

export function createRevocationBarrier(database: Database, clock: Clock): RevocationBarrier {
  const wait = async (revocationNumber: number, deadlineMs: number): Promise<BarrierReport> => {
    const startedMs = clock.monotonic();
    for (let delayMs = pollMs; ; delayMs = Math.min(delayMs * 2, slowestPollMs)) {
      const { points, waiting, gone, missing } = await readBarrier(database, revocationNumber);
      const elapsedMs = Math.round(clock.monotonic() - startedMs);
      if (waiting === 0) return { applied: true, points, gone, elapsedMs };
      if (elapsedMs >= deadlineMs) throw fail('barrier_timeout', { details: { points, missing: [...missing] } });
      await clock.sleep(delayMs);
    }
  };
  return { wait, waitForAll: async (deadlineMs) => wait(await readRevocationHead(database), deadlineMs) };
}
