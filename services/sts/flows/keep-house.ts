// The leader's clearing up: keys, session records, approvals and anchors whose time is over, a batch at a time, so that no
// table grows with the installation's age and no private part outlives its use.
import type { Clock } from '#mesh/time';
import type { Housekeeping, HousekeepingLead } from '../ports/housekeeping.ts';

export interface KeepHouseDeps {
  readonly housekeeping: HousekeepingLead;
  /** Looks at what an operator watches; not every round. */
  readonly takeStock: () => Promise<void>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly onTrouble: (error: unknown) => void;
}

/** Retirements are told this soon, and an erased private part lives at most this long beyond its minute. */
const intervalMs = 10_000;
/** Stock is taken each minute: it reads every zone once. */
const roundsToStock = 6;
/** One statement's share; it holds row locks for milliseconds. */
const batch = 500;
/** Batches of one kind in a row: a backlog is worked off over several rounds, not in one that nobody else gets through. */
const maxBatches = 20;

/** One round. */
export async function tidyUp(house: Housekeeping, stop: AbortSignal): Promise<void> {
  const chores = [
    async () => house.settleEndedKeys(batch),
    async () => house.purgeSessionRecords(batch),
    async () => house.sweepApprovals(batch),
    async () => house.pruneRevocations(batch),
  ];
  for (const chore of chores) {
    for (let count = 0; count < maxBatches && !stop.aborted; count += 1) {
      if ((await chore()) < batch) break;
    }
  }
}

/** Runs until stopped: leads when it can, and looks for the lead again when another has it or the database was away. */
export async function keepHouse(deps: KeepHouseDeps, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await using house = await deps.housekeeping.lead();
      for (let round = 0; house && !stop.aborted; round += 1) {
        await tidyUp(house, stop);
        if (round % roundsToStock === 0) await deps.takeStock();
        await deps.clock.sleep(intervalMs, stop);
      }
    } catch (error) {
      if (!stop.aborted) deps.onTrouble(error);
    }
    await deps.clock.sleep(intervalMs, stop).catch(() => undefined);
  }
}
