// Adds a version to a set: which policy versions, in which order, with which data. Compiled together before it is stored.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { ManifestEntry, PolicySetVersion } from '../../domain/policy.ts';
import { policySetDigest, setVersionProblems } from '../../domain/policy-set.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, found } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { requireValid } from '../policies/validate.ts';

export interface AddSetVersion {
  readonly policySetId: string;
  /** 1 to 256. */
  readonly manifest: readonly ManifestEntry[];
  readonly params?: JsonObject | undefined;
}

/** @throws invalid_request, policy_invalid, not_found (set), sts_unavailable. */
export async function addSetVersion(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, manifest, params = {} }: AddSetVersion,
): Promise<Created<PolicySetVersion>> {
  const { zoneId } = call;
  const id = deps.newId();
  const ids = manifest.map((entry) => entry.policyVersionId);
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => {
      const sources = await deps.store.read(zoneId, async (tx) => {
        found(await tx.policySets.find(policySetId), 'policy set');
        return tx.policySources(ids);
      });
      const fields = setVersionProblems({ ids, params }, sources);
      if (fields.length > 0) throw fail('invalid_request', { fields });
      await requireValid(deps, { zoneId, policies: sources, params }, call.facts);
      return policySetDigest(sources, params);
    },
    write: async (tx, digest) => {
      await tx.requireZone();
      found(await tx.policySets.lock(policySetId), 'policy set');
      const version = await tx.nextVersion({ policySetId });
      const entity = await tx.policySetVersions.insert({
        id,
        zoneId,
        policySetId,
        version,
        manifest: ids.map((policyVersionId) => ({ policy_version_id: policyVersionId })),
        params,
        digest,
        active: false,
        shadow: false,
      });
      await tx.record(call.admin, {
        action: 'policy_set_version.create',
        entityType: 'policy_set_version',
        entityId: id,
        fields: ['manifest', 'params'],
        facts: { policy_set_id: policySetId, version, digest },
      });
      return { entity, status: 201 };
    },
  });
}
