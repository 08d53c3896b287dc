// A policy version with its text, and the versions of a policy or set without.
import type { PolicySetVersion, PolicyVersion } from '../../domain/policy.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Page, type PageQuery, type ZoneCall, found } from '../admin-call.ts';

/** @throws not_found. */
export async function readPolicyVersion(
  deps: ApiDeps,
  call: ZoneCall,
  { policyId, versionId }: { policyId: string; versionId: string },
): Promise<PolicyVersion & { content: string }> {
  return deps.store.read(call.zoneId, async (tx) => {
    const version = found(await tx.policyVersions.find(versionId), 'policy version');
    found(version.policyId === policyId || undefined, 'policy version');
    const [source] = await tx.policySources([versionId]);
    return { ...version, content: found(source, 'policy version').content };
  });
}

/** @throws not_found (policy), invalid_request (cursor). */
export async function listPolicyVersions(
  deps: ApiDeps,
  call: ZoneCall,
  { policyId, query }: { policyId: string; query: PageQuery },
): Promise<Page<PolicyVersion>> {
  return deps.store.read(call.zoneId, async (tx) => {
    found(await tx.policies.find(policyId), 'policy');
    return tx.policyVersions.page(query, { policyId });
  });
}

/** @throws not_found. */
export async function readSetVersion(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, versionId }: { policySetId: string; versionId: string },
): Promise<PolicySetVersion> {
  return deps.store.read(call.zoneId, async (tx) => {
    const version = found(await tx.policySetVersions.find(versionId), 'version of this policy set');
    return found(version.policySetId === policySetId ? version : undefined, 'version of this policy set');
  });
}

/** @throws not_found (set), invalid_request (cursor). */
export async function listSetVersions(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, query }: { policySetId: string; query: PageQuery },
): Promise<Page<PolicySetVersion>> {
  return deps.store.read(call.zoneId, async (tx) => {
    found(await tx.policySets.find(policySetId), 'policy set');
    return tx.policySetVersions.page(query, { policySetId });
  });
}
