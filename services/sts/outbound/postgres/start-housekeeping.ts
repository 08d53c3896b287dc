// Housekeeping tied to its stores: the chores, and the count of envelopes that a rotation of ZONE_KEK has still to reach.
import type { Database } from '#mesh/postgres';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { StsMetrics } from '../../metrics.ts';
import { keepHouse } from '../../flows/keep-house.ts';
import type { SealedValues } from '../../ports/sealed-values.ts';
import { createHousekeeping } from './housekeeping-postgres.ts';

export interface HousekeepingOptions {
  readonly database: Pick<Database, 'tryLead'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Pick<Logger, 'warn'>;
  readonly own: Pick<StsMetrics, 'underPreviousKey'>;
  readonly sealedValues: SealedValues;
  readonly currentKeyId: string;
  /** Whether ZONE_KEK_PREVIOUS is set; without it there is nothing to count. */
  readonly isKekRotating: boolean;
}

const zonesAtOnce = 200;

async function countOthers({ sealedValues, currentKeyId }: HousekeepingOptions): Promise<number> {
  let count = 0;
  for (let after = ''; ;) {
    const zones = await sealedValues.zonesAfter(after, zonesAtOnce);
    for (const zoneId of zones) count += await sealedValues.countOthers(zoneId, currentKeyId);
    if (zones.length < zonesAtOnce) return count;
    after = zones.at(-1) ?? after;
  }
}

/** Runs until stopped. */
export async function startHousekeeping(options: HousekeepingOptions, stop: AbortSignal): Promise<void> {
  const { database, clock, logger, own, isKekRotating } = options;
  await keepHouse(
    {
      housekeeping: createHousekeeping(database),
      clock,
      takeStock: async () => {
        if (isKekRotating) own.underPreviousKey.set(await countOthers(options));
      },
      onTrouble: (error) => logger.warn({ error }, 'housekeeping was interrupted'),
    },
    stop,
  );
}
