// HousekeepingLead on an advisory lock; each chore is one function of the schema, run on the connection that holds the lead.
import type { Database, Leadership } from '#mesh/postgres';
import type { Housekeeping, HousekeepingLead } from '../../ports/housekeeping.ts';

const leadName = 'sts.housekeeping';

function houseOf(lead: Leadership): Housekeeping {
  const chore = (name: string) => async (limit: number) => {
    const [row] = await lead.query<{ count: number }>(`SELECT sts.${name}($1) AS count`, [limit]);
    return row?.count ?? 0;
  };
  return {
    settleEndedKeys: chore('settle_ended_keys'),
    purgeSessionRecords: chore('purge_session_records'),
    sweepApprovals: chore('sweep_approvals'),
    pruneRevocations: chore('prune_revocations'),
    [Symbol.asyncDispose]: async () => lead[Symbol.asyncDispose](),
  };
}

export function createHousekeeping(database: Pick<Database, 'tryLead'>): HousekeepingLead {
  return {
    async lead() {
      const lead = await database.tryLead(leadName);
      return lead && houseOf(lead);
    },
  };
}
