// PointLeadership on an advisory lock: every statement runs on the connection that holds the lead.
import type { Database, Leadership } from '#mesh/postgres';
import type { EnforcementPoints, PointLeadership } from '../../ports/enforcement-points.ts';

/** Marking is the loss of a replica for every barrier; one leader does it for the installation. */
const leadName = 'sts.enforcement-points';

function pointsOf(lead: Leadership): EnforcementPoints {
  return {
    async live() {
      const rows = await lead.query<{ id: string; renewals: string }>(
        'SELECT id, renewals FROM sts.enforcement_points WHERE gone_at IS NULL',
      );
      return rows.map(({ id, renewals }) => ({ id, renewals: Number(renewals) }));
    },
    async markGone({ id, renewals }) {
      const count = await lead.execute(
        `UPDATE sts.enforcement_points SET gone_at = clock_timestamp()
          WHERE id = $1 AND renewals = $2 AND gone_at IS NULL`,
        [id, renewals],
      );
      if (count > 0) await lead.query("SELECT pg_notify('caracal_points', '')");
      return count > 0;
    },
    async forgetGone() {
      await lead.execute("DELETE FROM sts.enforcement_points WHERE gone_at < clock_timestamp() - interval '1 day'");
    },
    [Symbol.asyncDispose]: async () => lead[Symbol.asyncDispose](),
  };
}

export function createPointLeadership(database: Pick<Database, 'tryLead'>): PointLeadership {
  return {
    async lead() {
      const lead = await database.tryLead(leadName);
      return lead && pointsOf(lead);
    },
  };
}
