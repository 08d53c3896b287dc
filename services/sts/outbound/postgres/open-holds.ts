// Everything of approvals that stands on the database, for the composition root; what it is asked is counted here.
import type { IdSource } from '#mesh/ids';
import type { Database } from '#mesh/postgres';
import type { Clock } from '#mesh/time';
import type { StsMetrics } from '../../metrics.ts';
import type { HoldStore } from '../../ports/hold-store.ts';
import { createHoldWaits } from './hold-waits-postgres.ts';
import { createHoldsPostgres } from './holds-postgres.ts';
import type { ZoneShares } from './zone-shares.ts';

export interface OpenHoldsOptions {
  readonly database: Database;
  readonly shares: ZoneShares;
  readonly clock: Clock;
  readonly newId: IdSource;
  readonly metrics: Pick<StsMetrics, 'approvals' | 'approvalWaits'>;
}

function counted(store: HoldStore, { approvals }: OpenHoldsOptions['metrics']): HoldStore {
  return {
    ...store,
    async raise(hold) {
      const raised = await store.raise(hold);
      approvals.inc({ outcome: raised.kind === 'rejected' ? 'rejected_before' : raised.kind });
      return raised;
    },
    async look(presented) {
      const answer = await store.look(presented);
      // One that is approved is counted when it is spent.
      if (answer.kind !== 'approved') approvals.inc({ outcome: answer.kind });
      return answer;
    },
    async spend(presented) {
      const answer = await store.spend(presented);
      approvals.inc({ outcome: answer.kind });
      return answer;
    },
  };
}

export function openHolds({ database, shares, clock, newId, metrics }: OpenHoldsOptions) {
  return {
    holds: counted(createHoldsPostgres({ shares, newId }), metrics),
    holdWaits: createHoldWaits(database, clock, (waiting) => metrics.approvalWaits.set(waiting)),
  };
}
