// Revokes by anchors, and waits for every enforcement point when asked to.
import { fail } from '#mesh/failure';
import { type AnchorChoice, anchorProblems } from '../../domain/revocation.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { Created, ZoneCall } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { type RevokingResult, afterBarrier } from './wait.ts';

export interface Revoke {
  readonly anchors: readonly AnchorChoice[];
  readonly reason: string;
  /** Milliseconds to wait for the barrier; undefined does not wait. */
  readonly waitMs: number | undefined;
}

/** With the number of the last anchor. */
export interface Revoked extends RevokingResult {
  readonly anchorCount: number;
}

/**
 * A replay revokes nothing anew and waits for the first call's number.
 * @throws invalid_request, not_found (zone), barrier_timeout (the revocation stands).
 */
export async function revoke(
  deps: ApiDeps,
  call: ZoneCall,
  { anchors, reason, waitMs }: Revoke,
): Promise<Created<Revoked>> {
  const { zoneId } = call;
  const fields = anchorProblems(zoneId, anchors);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  const created = await createOnce<Revoked, undefined>(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => undefined,
    write: async (tx) => {
      await tx.requireZone();
      await tx.record(call.admin, {
        action: 'revocation.create',
        entityType: 'revocation',
        entityId: zoneId,
        fields: ['anchors', 'reason'],
        facts: { reason, anchor_count: anchors.length },
      });
      const revocationNumber = await tx.revoke(anchors, reason);
      return { entity: { revocationNumber, anchorCount: anchors.length }, status: 201 };
    },
  });
  const result = await afterBarrier(deps, created.entity.revocationNumber, waitMs);
  return { ...created, entity: { ...created.entity, ...result } };
}
