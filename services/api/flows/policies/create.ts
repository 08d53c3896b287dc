// Stores a policy with its first version, once the STS has found that it compiles.
import { sha256Hex } from '#mesh/canonical';
import { type Policy, type PolicyVersion, inputSchemaVersion } from '../../domain/policy.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, found, givenFields } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { requireValid } from './validate.ts';

export interface CreatePolicy {
  readonly name: string;
  readonly description?: string | undefined;
  readonly content: string;
}

export type PolicyWithVersion = Policy & { readonly version: PolicyVersion };

/** @throws policy_invalid, not_found (zone), conflict (name), sts_unavailable. */
export async function createPolicy(
  deps: ApiDeps,
  call: ZoneCall,
  input: CreatePolicy,
): Promise<Created<PolicyWithVersion>> {
  const { zoneId } = call;
  const [id, versionId] = [deps.newId(), deps.newId()];
  const { name, description, content } = input;
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: () =>
      requireValid(deps, { zoneId, policies: [{ policyVersionId: versionId, name, content }], params: {} }, call.facts),
    write: async (tx) => {
      await tx.requireZone();
      await tx.policies.insert({ id, zoneId, name, description });
      const version = await tx.policyVersions.insert({
        id: versionId,
        zoneId,
        policyId: id,
        version: 1,
        content,
        contentSha256: sha256Hex(content),
        schemaVersion: inputSchemaVersion,
      });
      const policy = found(await tx.policies.find(id), 'policy');
      await tx.record(call.admin, {
        action: 'policy.create',
        entityType: 'policy',
        entityId: id,
        fields: givenFields(input),
        facts: { policy_version_id: versionId, content_sha256: version.contentSha256 },
      });
      return { entity: { ...policy, version }, status: 201 };
    },
  });
}
