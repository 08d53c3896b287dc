// The leader's clearing up: keys, session records, approvals and anchors whose time is over, a batch at a time, so that no
// table grows with the installation's age and no private part outlives its use.
import type { Clock } from '#mesh/time';
import type { Housekeeping, HousekeepingLead } from '../ports/housekeeping.ts';
import type { SealedValues } from '../ports/sealed-values.ts';
import type { Vault } from '../ports/vault.ts';

export interface KeepHouseDeps {
  readonly housekeeping: HousekeepingLead;
  readonly sealedValues: Pick<SealedValues, 'zonesAfter' | 'countOthers'>;
  readonly vault: Pick<Vault, 'currentKeyId'>;
  /** Whether another key-encryption key is still accepted; without it there is nothing to count. */
  readonly isKekRotating: boolean;
  /** How many values the present key-encryption key does not open. */
  readonly onUnderPreviousKey: (count: number) => void;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly onTrouble: (error: unknown) => void;
}

/** Retirements are told this soon, and an erased private part lives at most this long beyond its minute. */
const intervalMs = 10_000;
/** What an operator watches is counted each minute: it reads every zone once. */
const roundsToCount = 6;
const zonesAtOnce = 200;
/** One statement's share; it holds row locks for milliseconds. */
const batch = 500;
/** Batches of one kind in a row: a backlog is worked off over several rounds, not in one that nobody else gets through. */
const maxBatches = 20;

/** One round. */
async function tidyUp(house: Housekeeping, stop: AbortSignal): Promise<void> {
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

async function countUnderPreviousKey({ sealedValues, vault }: KeepHouseDeps): Promise<number> {
  let count = 0;
  for (let after = ''; ;) {
    const zones = await sealedValues.zonesAfter(after, zonesAtOnce);
    for (const zoneId of zones) count += await sealedValues.countOthers(zoneId, vault.currentKeyId);
    if (zones.length < zonesAtOnce) return count;
    after = zones.at(-1) ?? after;
  }
}

/** Runs until stopped: leads when it can, and looks for the lead again when another has it or the database was away. */
export async function keepHouse(deps: KeepHouseDeps, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await using house = await deps.housekeeping.lead();
      for (let round = 0; house && !stop.aborted; round += 1) {
        await tidyUp(house, stop);
        if (deps.isKekRotating && round % roundsToCount === 0)
          deps.onUnderPreviousKey(await countUnderPreviousKey(deps));
        await deps.clock.sleep(intervalMs, stop);
      }
    } catch (error) {
      if (!stop.aborted) deps.onTrouble(error);
    }
    await deps.clock.sleep(intervalMs, stop).catch(() => undefined);
  }
}
