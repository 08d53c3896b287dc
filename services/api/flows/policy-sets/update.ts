// Changes the words around a policy set; what it enforces changes by versions alone.
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { PolicySet } from '../../domain/policy.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';

/** @throws invalid_request, not_found, version_mismatch, conflict (name). */
export async function updatePolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  { id, patch, ifMatch }: { id: string; patch: Patch<PolicySet>; ifMatch: IfMatch },
): Promise<PolicySet> {
  return changeGuarded<PolicySet>(deps, call, {
    id,
    entity: 'policy_set',
    rows: (tx) => tx.policySets,
    ifMatch,
    verb: 'update',
    fields: changedFields(patch),
    apply: (tx) => tx.policySets.update(id, patch),
  });
}
