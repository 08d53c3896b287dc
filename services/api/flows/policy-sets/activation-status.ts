// How far a change of what a zone enforces has come: which replicas know, and whether the STS that answers enforces it.
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';

export interface ActivationStatus {
  readonly policySetId: string;
  /** Of this set; absent when the zone enforces none of its versions. */
  readonly activeVersionId?: string | undefined;
  readonly digest?: string | undefined;
  readonly activatedAt?: string | undefined;
  /** Of this set; absent when the zone watches none of its versions. */
  readonly shadowVersionId?: string | undefined;
  /** Every live replica of STS and Gateway knows the zone's last change, and the STS that answered enforces it. */
  readonly propagated: boolean;
  /** Live replicas, and those that are waited for, as `<service>/<replica>`. */
  readonly points: number;
  readonly waiting: readonly string[];
  /** OPA holds it already; it is loaded at first use otherwise. */
  readonly loaded: boolean;
}

/** @throws not_found, sts_unavailable. */
export async function activationStatus(deps: ApiDeps, call: ZoneCall, policySetId: string): Promise<ActivationStatus> {
  const { active, shadow, position } = await deps.store.read(call.zoneId, async (tx) => {
    found(await tx.policySets.find(policySetId), 'policy set');
    return {
      active: await tx.activeVersion(),
      shadow: await tx.enforcement.shadowVersion(),
      position: await tx.enforcement.lastChange(),
    };
  });
  const enforced = await deps.sts.policyStatus(call.zoneId, call.facts);
  const { propagated, points, missing } = await deps.propagation.look(position);
  const own = active?.policySetId === policySetId ? active : undefined;
  return {
    policySetId,
    activeVersionId: own?.id,
    digest: own?.digest,
    activatedAt: own?.activatedAt,
    shadowVersionId: shadow?.policySetId === policySetId ? shadow.id : undefined,
    propagated: propagated && enforced.versionId === active?.id && enforced.digest === active?.digest,
    points,
    waiting: missing,
    loaded: enforced.loaded,
  };
}
