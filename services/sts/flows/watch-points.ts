// The leader's watch over enforcement points: a barrier must not wait for a process that is dead, and must wait for every
// one that may still serve. A point serves at most 90 % of the staleness limit after a renewal, and it is given up only
// after a full one without.
import type { Clock } from '#mesh/time';
import { silentPoints } from '../domain/silent-points.ts';
import type { PointRenewals } from '../domain/silent-points.ts';
import type { EnforcementPoints, PointLeadership } from '../ports/enforcement-points.ts';

export interface WatchPointsDeps {
  readonly leadership: PointLeadership;
  readonly clock: Pick<Clock, 'sleep'>;
  /** REVOCATION_MAX_STALENESS_MS. */
  readonly maxStalenessMs: number;
  readonly onGone: (point: PointRenewals) => void;
  readonly onTrouble: (error: unknown) => void;
}

async function watchAsLeader(deps: WatchPointsDeps, points: EnforcementPoints, stop: AbortSignal): Promise<void> {
  let before = await points.live();
  while (!stop.aborted) {
    await deps.clock.sleep(deps.maxStalenessMs, stop);
    const now = await points.live();
    for (const point of silentPoints(before, now)) {
      if (await points.markGone(point)) deps.onGone(point);
    }
    await points.forgetGone();
    before = now;
  }
}

/** Runs until stopped: leads when it can, looks for the lead again when another has it or the database was away. */
export async function watchPoints(deps: WatchPointsDeps, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await using points = await deps.leadership.lead();
      if (points) await watchAsLeader(deps, points, stop);
    } catch (error) {
      if (!stop.aborted) deps.onTrouble(error);
    }
    await deps.clock.sleep(deps.maxStalenessMs, stop).catch(() => undefined);
  }
}
