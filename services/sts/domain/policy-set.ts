// The policy-set version a zone enforces, as a value, and the names it has inside OPA. Every zone and version has a
// package of its own, so that no two can reach one another whatever they are called outside.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';

export interface PolicySource {
  readonly policyVersionId: string;
  readonly name: string;
  /** Rego v1, package caracal.authz. */
  readonly content: string;
}

export interface PolicySetVersion {
  readonly zoneId: string;
  readonly policySetId: string;
  readonly versionId: string;
  /** SHA-256 over policies and params, hex. */
  readonly digest: string;
  /** The version's own data document, what policies see as `params`. */
  readonly params: JsonObject;
  readonly policies: readonly PolicySource[];
}

/** 128 bits name a zone or version without collision and keep package paths readable. */
const nameLength = 32;

/** The package all modules of a version live under. */
export function packagePath(zoneId: string, versionDigest: string): readonly string[] {
  return ['caracal', `z_${sha256Hex(zoneId).slice(0, nameLength)}`, `v_${versionDigest.slice(0, nameLength)}`];
}

/** What OPA really holds is named by content, so that a version whose text was altered never passes for another. */
export function loadedDigest(version: PolicySetVersion): string {
  return sha256Hex(
    canonicalJson({
      digest: version.digest,
      params: version.params,
      policies: version.policies.map(({ policyVersionId, content }) => ({
        id: policyVersionId,
        sha256: sha256Hex(content),
      })),
    }),
  );
}
