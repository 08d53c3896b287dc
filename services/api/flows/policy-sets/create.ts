// Makes an empty policy set; its versions come after.
import type { PolicySet } from '../../domain/policy.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, givenFields } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';

export interface CreatePolicySet {
  readonly name: string;
  readonly description?: string | undefined;
}

/** @throws not_found (zone), conflict (name). */
export async function createPolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  input: CreatePolicySet,
): Promise<Created<PolicySet>> {
  const { zoneId } = call;
  const id = deps.newId();
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => undefined,
    write: async (tx) => {
      await tx.requireZone();
      const entity = await tx.policySets.insert({ id, zoneId, name: input.name, description: input.description });
      await tx.record(call.admin, {
        action: 'policy_set.create',
        entityType: 'policy_set',
        entityId: id,
        fields: givenFields(input),
      });
      return { entity, status: 201 };
    },
  });
}
