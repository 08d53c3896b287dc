// Which enforcement points have stopped renewing: those whose count did not move between two looks a full staleness limit
// apart. Two looks at a count need no clock that points and leader share.

export interface PointRenewals {
  readonly id: string;
  readonly renewals: number;
}

/** Points seen in both looks with the same count. One that is new or moved is alive. */
export function silentPoints(
  before: readonly PointRenewals[],
  now: readonly PointRenewals[],
): readonly PointRenewals[] {
  const counts = new Map(before.map(({ id, renewals }) => [id, renewals]));
  return now.filter(({ id, renewals }) => counts.get(id) === renewals);
}
