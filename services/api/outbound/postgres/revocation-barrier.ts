// The barrier read from the STS's membership table: every live enforcement point's applied number, polled until it is there.
import { fail } from '#mesh/failure';
import type { Database } from '#mesh/postgres';
import type { Clock } from '#mesh/time';
import type { RevocationBarrier } from '../../ports/revocation-barrier.ts';

/** Points renew at once after applying, coalesced to 10 ms: asking much oftener learns nothing. */
const pollMs = 5;
const slowestPollMs = 50;

export function createRevocationBarrier(database: Database, clock: Clock): RevocationBarrier {
  return {
    wait: async (revocationNumber, deadlineMs) => {
      const startedMs = clock.monotonic();
      for (let delayMs = pollMs; ; delayMs = Math.min(delayMs * 2, slowestPollMs)) {
        const [row] = await database.query<{ points: number; waiting: number; gone: number; missing: string[] }>(
          'SELECT points, waiting, gone, missing FROM sts_pub.barrier($1)',
          [revocationNumber],
        );
        const elapsedMs = Math.round(clock.monotonic() - startedMs);
        if (row?.waiting === 0) return { applied: true, points: row.points, gone: row.gone, elapsedMs };
        if (elapsedMs >= deadlineMs) {
          throw fail('barrier_timeout', { details: { points: row?.points ?? 0, missing: row?.missing ?? [] } });
        }
        await clock.sleep(delayMs);
      }
    },
  };
}
