// Changes what a zone enforces or watches: everything is compiled first by whoever will enforce it; then exactly one version
// is active, at most one is watched, and the change is recorded and told in one transaction.
import { fail } from '#mesh/failure';
import type { PropagationReport, StreamNumber } from '#mesh/revocation';
import { type PolicySetVersion, manifestIds } from '../../domain/policy.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { requireValid } from '../policies/validate.ts';

export type Propagated = PropagationReport & { readonly elapsedMs?: number };

/** How a change of enforcement ended. */
export interface Changed {
  /** Absent when nobody waited. */
  readonly propagation?: Propagated | undefined;
}

/** Waits when asked to. @throws barrier_timeout (the change stands). */
export async function afterPropagation(
  deps: Pick<ApiDeps, 'propagation'>,
  position: StreamNumber,
  waitMs: number | undefined,
): Promise<Propagated | undefined> {
  return waitMs === undefined ? undefined : deps.propagation.wait(position, waitMs);
}

function requireLive(version: PolicySetVersion, sources: readonly { readonly archived: boolean }[]): void {
  if (sources.length === version.manifest.length && !sources.some(({ archived }) => archived)) return;
  throw fail('conflict', { description: 'A policy of this version has been archived.' });
}

/**
 * A version as it may be activated: its policies live, and they compile.
 * @throws not_found, conflict, policy_invalid, policy_engine_unavailable, sts_unavailable.
 */
export async function readyVersion(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, versionId }: { policySetId: string | undefined; versionId: string },
): Promise<PolicySetVersion> {
  const { zoneId } = call;
  const { version, sources } = await deps.store.read(zoneId, async (tx) => {
    const wanted = found(await tx.policySetVersions.find(versionId), 'version of this policy set');
    found(await tx.policySets.find(policySetId ?? wanted.policySetId), 'policy set');
    if (policySetId !== undefined && wanted.policySetId !== policySetId) throw fail('not_found');
    return { version: wanted, sources: await tx.policySources(manifestIds(wanted.manifest)) };
  });
  requireLive(version, sources);
  await requireValid(deps, { zoneId, policies: sources, params: version.params }, call.facts);
  return version;
}

/** Its policies stay live until the transaction ends. @throws conflict. */
export async function holdVersion(tx: ControlTransaction, version: PolicySetVersion): Promise<void> {
  requireLive(version, await tx.enforcement.lockSources(manifestIds(version.manifest)));
}
