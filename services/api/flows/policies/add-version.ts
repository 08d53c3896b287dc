// Adds a version to a policy. Content the policy had before is that version again, not another one.
import { sha256Hex } from '#mesh/canonical';
import { type PolicyVersion, inputSchemaVersion } from '../../domain/policy.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, found } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { requireValid } from './validate.ts';

/** @throws policy_invalid, not_found (policy), sts_unavailable. */
export async function addPolicyVersion(
  deps: ApiDeps,
  call: ZoneCall,
  { policyId, content }: { policyId: string; content: string },
): Promise<Created<PolicyVersion>> {
  const { zoneId } = call;
  const id = deps.newId();
  const contentSha256 = sha256Hex(content);
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => {
      const policy = found(await deps.store.read(zoneId, (tx) => tx.policies.find(policyId)), 'policy');
      const candidate = { policyVersionId: id, name: policy.name, content };
      await requireValid(deps, { zoneId, policies: [candidate], params: {} }, call.facts);
    },
    write: async (tx) => {
      await tx.requireZone();
      found(await tx.policies.lock(policyId), 'policy');
      const known = await tx.findPolicyVersionByContent(policyId, contentSha256);
      if (known !== undefined) return { entity: known, status: 200 };
      const version = await tx.nextVersion({ policyId });
      const row = { id, zoneId, policyId, version, content, contentSha256, schemaVersion: inputSchemaVersion };
      const entity = await tx.policyVersions.insert(row);
      await tx.record(call.admin, {
        action: 'policy_version.create',
        entityType: 'policy_version',
        entityId: id,
        fields: ['content'],
        facts: { policy_id: policyId, version, content_sha256: contentSha256 },
      });
      return { entity, status: 201 };
    },
  });
}
