// Makes one version of one set what the zone enforces. It is compiled first by whoever will enforce it; then exactly one
// version is active and the change is told, in one transaction.
import { fail } from '#mesh/failure';
import { type PolicySetVersion, manifestIds } from '../../domain/policy.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { requireValid } from '../policies/validate.ts';

export interface ActivatePolicySet {
  readonly policySetId: string;
  readonly versionId: string;
  /** What the ledger calls it. */
  readonly verb: 'activate' | 'rollback';
}

/**
 * Activating what is active already changes nothing and succeeds.
 * @throws not_found, conflict (a policy of it was archived), policy_invalid, sts_unavailable.
 */
export async function activatePolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, versionId, verb }: ActivatePolicySet,
): Promise<PolicySetVersion> {
  const { zoneId } = call;
  const { version, sources } = await deps.store.read(zoneId, async (tx) => {
    found(await tx.policySets.find(policySetId), 'policy set');
    const wanted = found(await tx.policySetVersions.find(versionId), 'version of this policy set');
    if (wanted.policySetId !== policySetId) throw fail('not_found');
    return { version: wanted, sources: await tx.policySources(manifestIds(wanted.manifest)) };
  });
  if (sources.length !== version.manifest.length || sources.some((source) => source.archived)) {
    throw fail('conflict', { description: 'A policy of this version has been archived.' });
  }
  await requireValid(deps, { zoneId, policies: sources, params: version.params }, call.facts);
  return deps.store.change(zoneId, call.facts, async (tx) => {
    await tx.requireZone();
    await tx.lockActivation();
    found(await tx.policySets.hold(policySetId), 'policy set');
    if ((await tx.activeVersion())?.id === versionId) return version;
    await tx.activate(versionId);
    const activation = { policySetId, versionId, digest: version.digest };
    await tx.record(call.admin, {
      action: `policy_set.${verb}`,
      entityType: 'policy_set',
      entityId: policySetId,
      fields: ['activeVersionId'],
      facts: { policy_set_version_id: versionId, digest: version.digest },
    });
    await tx.recordActivation(call.admin, activation);
    const activated = found(await tx.policySetVersions.find(versionId), 'version of this policy set');
    await tx.invalidatePolicy(activation);
    return activated;
  });
}

/**
 * Activates an older version: the one named, or the one that was active before.
 * @throws not_found (no earlier version), and what activation throws.
 */
export async function rollBackPolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, versionId }: { policySetId: string; versionId: string | undefined },
): Promise<PolicySetVersion> {
  const target =
    versionId ?? (await deps.store.read(call.zoneId, (tx) => tx.previouslyActive(policySetId)))?.id ?? undefined;
  if (target === undefined) throw fail('not_found', { description: 'No version of this set was active before.' });
  return activatePolicySet(deps, call, { policySetId, versionId: target, verb: 'rollback' });
}
