// What a revoking call answers: how far the revocation has come when it returns.
import type { ApiDeps } from '../../ports/deps.ts';
import type { BarrierReport } from '#mesh/revocation';

export interface RevokingResult {
  readonly revocationNumber: number;
  readonly barrier?: BarrierReport | undefined;
}

/** Waits when asked to. @throws barrier_timeout (the revocation stands). */
export async function afterBarrier(
  deps: Pick<ApiDeps, 'barrier'>,
  revocationNumber: number,
  waitMs: number | undefined,
): Promise<RevokingResult> {
  if (waitMs === undefined) return { revocationNumber };
  return { revocationNumber, barrier: await deps.barrier.wait(revocationNumber, waitMs) };
}
