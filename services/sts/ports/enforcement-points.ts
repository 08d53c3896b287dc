// The need: to see who enforces and to give up on who does not answer, as the one leader among the STS replicas.
import type { PointRenewals } from '../domain/silent-points.ts';

export interface EnforcementPoints extends AsyncDisposable {
  live(): Promise<readonly PointRenewals[]>;
  /** Marks it gone unless it has renewed since `renewals` was read, and wakes whoever waits at the barrier. */
  markGone(point: PointRenewals): Promise<boolean>;
  /** Forgets points that have been gone for a day. */
  forgetGone(): Promise<void>;
}

export interface PointLeadership {
  /** Undefined while another replica leads. Throws when the database is away. */
  lead(): Promise<EnforcementPoints | undefined>;
}
