// Changes what a grant allows and until when. What it takes away ends at once, as if the grant had been revoked.
import { fail } from '#mesh/failure';
import type { IfMatch } from '../../domain/entity-tag.ts';
import { type Grant, grantProblems, takesAway } from '../../domain/grant.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';
import { grantCacheId } from './create.ts';

/** @throws invalid_request, not_found, version_mismatch. */
export async function updateGrant(
  deps: ApiDeps,
  call: ZoneCall,
  { id, patch, ifMatch }: { id: string; patch: Patch<Grant>; ifMatch: IfMatch },
): Promise<Grant> {
  let before: Grant | undefined;
  return changeGuarded<Grant>(deps, call, {
    id,
    entity: 'grant',
    rows: (tx) => tx.grants,
    ifMatch,
    verb: 'update',
    fields: changedFields(patch),
    apply: async (tx, current) => {
      before = current;
      const resource = found(await tx.resources.hold(current.resourceId), 'resource');
      const fields = grantProblems(patch.scopes ?? [], resource.scopes);
      if (fields.length > 0) throw fail('invalid_request', { fields });
      return tx.grants.update(id, patch);
    },
    tell: async (tx, changed) => {
      await tx.invalidate('grant', grantCacheId(changed), changed.version);
      if (before && takesAway(before, changed)) {
        await tx.revoke([{ kind: 'subject', id: changed.subject }], 'grant narrowed');
      }
    },
  });
}
