// What a version of a policy set is: an ordered choice of policy versions and its own data, named by one digest. A decision
// is a pure function of that digest and its input, so the digest covers code and data alike.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { FieldViolation, JsonObject } from '#mesh/failure';
import { type PolicySource, maxParamsBytes, maxSetBytes } from './policy.ts';

/** SHA-256 of the canonical {policies, params}. */
export function policySetDigest(
  members: readonly Pick<PolicySource, 'policyVersionId' | 'contentSha256'>[],
  params: JsonObject,
): string {
  return sha256Hex(
    canonicalJson({
      policies: members.map((member) => ({ id: member.policyVersionId, content_sha256: member.contentSha256 })),
      params,
    }),
  );
}

/** What keeps these versions from being a new set together; `found` are those of the zone that exist. */
export function setVersionProblems(
  { ids, params }: { readonly ids: readonly string[]; readonly params: JsonObject },
  found: readonly PolicySource[],
): FieldViolation[] {
  const live = new Set(found.filter((source) => !source.archived).map((source) => source.policyVersionId));
  const problems: FieldViolation[] = [];
  const seen = new Set<string>();
  for (const [at, id] of ids.entries()) {
    const path = `manifest[${at}].policy_version_id`;
    if (seen.has(id)) problems.push({ path, rule: 'a policy version stands once in a set' });
    else if (!live.has(id)) problems.push({ path, rule: 'a version of a live policy of this zone' });
    seen.add(id);
  }
  const bytes = found.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  if (bytes > maxSetBytes)
    problems.push({ path: 'manifest', rule: `at most ${maxSetBytes} bytes of policies together` });
  if (Buffer.byteLength(canonicalJson(params)) > maxParamsBytes) {
    problems.push({ path: 'params', rule: `at most ${maxParamsBytes} bytes` });
  }
  return problems;
}
