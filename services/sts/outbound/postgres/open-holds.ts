// Everything of approvals that stands on the database, for the composition root.
import type { IdSource } from '#mesh/ids';
import type { Database } from '#mesh/postgres';
import type { Clock } from '#mesh/time';
import { createHoldWaits } from './hold-waits-postgres.ts';
import { createHoldsPostgres } from './holds-postgres.ts';
import type { ZoneShares } from './zone-shares.ts';

export interface OpenHoldsOptions {
  readonly database: Database;
  readonly shares: ZoneShares;
  readonly clock: Clock;
  readonly newId: IdSource;
}

export function openHolds({ database, shares, clock, newId }: OpenHoldsOptions) {
  return {
    holds: createHoldsPostgres({ shares, newId }),
    holdWaits: createHoldWaits(database, clock),
  };
}
