// Ends holds whose time is over, so that their end is evidence even when nobody asks about them again, and deletes those
// that ended a day ago. Every replica does it: the store lets several sweep at once.
import type { Database } from '#mesh/postgres';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';

export interface HoldSweepDeps {
  readonly database: Pick<Database, 'query'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Pick<Logger, 'warn'>;
}

/** An expired hold is refused at once, whenever it is swept; this is how late the ledger may tell. */
const intervalMs = 10_000;
/** Holds ended and deleted in one sweep: short enough to hold no lock that a caller would notice. */
const batch = 200;

/** How many holds were dealt with. */
export async function sweepOnce(database: HoldSweepDeps['database']): Promise<number> {
  const [row] = await database.query<{ dealt: number }>('SELECT sts.sweep_approvals($1) AS dealt', [batch]);
  return row?.dealt ?? 0;
}

/** Runs until stopped. */
export async function sweepHolds({ database, clock, logger }: HoldSweepDeps, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      while (!stop.aborted && (await sweepOnce(database)) > 0);
    } catch (error) {
      if (!stop.aborted) logger.warn({ error }, 'expired approvals could not be ended');
    }
    await clock.sleep(intervalMs, stop).catch(() => undefined);
  }
}
