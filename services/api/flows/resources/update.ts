// Changes a resource; the rules are those of the whole row as it will be.
import { fail } from '#mesh/failure';
import type { IfMatch } from '../../domain/entity-tag.ts';
import { type Resource, resourceProblems } from '../../domain/resource.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';

/** @throws invalid_request, not_found, version_mismatch, conflict (identifier, slug). */
export async function updateResource(
  deps: ApiDeps,
  call: ZoneCall,
  { id, patch, ifMatch }: { id: string; patch: Patch<Resource>; ifMatch: IfMatch },
): Promise<Resource> {
  return changeGuarded<Resource>(deps, call, {
    id,
    entity: 'resource',
    rows: (tx) => tx.resources,
    ifMatch,
    verb: 'update',
    fields: changedFields(patch),
    apply: async (tx, current) => {
      const fields = resourceProblems({
        identifier: patch.identifier ?? current.identifier,
        upstreamUrl: patch.upstreamUrl ?? current.upstreamUrl,
        scopes: patch.scopes ?? current.scopes,
        operations: patch.operations ?? current.operations,
        operationEnforcement: patch.operationEnforcement ?? current.operationEnforcement,
        allowOddPaths: patch.allowOddPaths ?? current.allowOddPaths,
      });
      if (fields.length > 0) throw fail('invalid_request', { fields });
      const { providerId } = patch;
      if (providerId !== undefined && providerId !== null) found(await tx.providers.hold(providerId), 'provider');
      return tx.resources.update(id, patch);
    },
    tell: (tx, changed) => tx.invalidate('resource', id, changed.version),
  });
}
