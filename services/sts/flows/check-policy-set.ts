// What the API asks about policy: may this set be stored, and which version does this replica enforce.
import type { JsonObject } from '#mesh/failure';
import type { PolicySource } from '../domain/policy-set.ts';
import type { Directory } from '../ports/directory.ts';
import type { PolicyEngine, VersionProblem } from '../ports/policy-engine.ts';

export interface PolicySetCandidate {
  readonly zoneId: string;
  readonly policies: readonly PolicySource[];
  readonly params: JsonObject;
}

/** Everything wrong with a set as it would be loaded; empty when it may be activated. */
export async function validatePolicySet(
  deps: { readonly policyEngine: Pick<PolicyEngine, 'validate'> },
  candidate: PolicySetCandidate,
): Promise<readonly VersionProblem[]> {
  return deps.policyEngine.validate(candidate.zoneId, candidate.policies, candidate.params);
}

export interface PolicySetStatus {
  readonly versionId: string;
  readonly digest: string;
  readonly loaded: boolean;
}

/** The version this replica enforces for the zone; empty names when there is none. */
export async function policySetStatus(
  deps: {
    readonly directory: Pick<Directory, 'activePolicySet'>;
    readonly policyEngine: Pick<PolicyEngine, 'isLoaded'>;
  },
  zoneId: string,
): Promise<PolicySetStatus> {
  const version = await deps.directory.activePolicySet(zoneId);
  if (!version) return { versionId: '', digest: '', loaded: false };
  return { versionId: version.versionId, digest: version.digest, loaded: await deps.policyEngine.isLoaded(version) };
}
