// Waiting until a revocation is applied everywhere.

export interface BarrierReport {
  readonly applied: boolean;
  readonly points: number;
  readonly gone: number;
  readonly elapsedMs: number;
}

/**
 * Promise: returns when every enforcement point that is not gone has applied the number; else `barrier_timeout` at the
 * deadline with the points missing, the revocation standing.
 */
export interface RevocationBarrier {
  wait(revocationNumber: number, deadlineMs: number): Promise<BarrierReport>;
}
