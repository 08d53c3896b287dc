// Whether what the control plane has made active is what the STS enforces.
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';

export interface ActivationStatus {
  readonly policySetId: string;
  /** Of this set; absent when the zone enforces none of its versions. */
  readonly activeVersionId?: string | undefined;
  readonly digest?: string | undefined;
  readonly activatedAt?: string | undefined;
  /** The STS that answered enforces exactly what is active in the zone. */
  readonly propagated: boolean;
  /** OPA holds it already; it is loaded at first use otherwise. */
  readonly loaded: boolean;
}

/** @throws not_found, sts_unavailable. */
export async function activationStatus(deps: ApiDeps, call: ZoneCall, policySetId: string): Promise<ActivationStatus> {
  const active = await deps.store.read(call.zoneId, async (tx) => {
    found(await tx.policySets.find(policySetId), 'policy set');
    return tx.activeVersion();
  });
  const enforced = await deps.sts.policyStatus(call.zoneId, call.facts);
  const own = active?.policySetId === policySetId ? active : undefined;
  return {
    policySetId,
    activeVersionId: own?.id,
    digest: own?.digest,
    activatedAt: own?.activatedAt,
    propagated: enforced.versionId === active?.id && enforced.digest === active?.digest,
    loaded: enforced.loaded,
  };
}
