// The need: to clear what nothing alive needs any more, as the one leader among the STS replicas.

export interface Housekeeping extends AsyncDisposable {
  /** Erases private parts of keys that sign no more and tells of keys that left JWKS. How many rows were changed. */
  settleEndedKeys(limit: number): Promise<number>;
  /** Deletes session records that nothing alive can name. How many. */
  purgeSessionRecords(limit: number): Promise<number>;
  /** Ends holds whose time is over, with their evidence, and deletes those that ended a day ago. How many. */
  sweepApprovals(limit: number): Promise<number>;
  /** Deletes anchors that were published and can refuse nothing any more. How many. */
  pruneRevocations(limit: number): Promise<number>;
}

export interface HousekeepingLead {
  /** Undefined while another replica leads. Throws when the database is away. */
  lead(): Promise<Housekeeping | undefined>;
}
