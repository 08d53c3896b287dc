// Changes what may be changed of an application; its way of authenticating is not among it.
import type { Application } from '../../domain/application.ts';
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';
import { checkPublicKeys } from './check-credentials.ts';

/** @throws invalid_request, not_found, version_mismatch. */
export async function updateApplication(
  deps: ApiDeps,
  call: ZoneCall,
  { id, patch, ifMatch }: { id: string; patch: Patch<Application>; ifMatch: IfMatch },
): Promise<Application> {
  return changeGuarded<Application>(deps, call, {
    id,
    entity: 'application',
    rows: (tx) => tx.applications,
    ifMatch,
    verb: 'update',
    fields: changedFields(patch),
    apply: (tx, current) => {
      if (patch.publicKeys !== undefined) checkPublicKeys(deps, current.credentialType, patch.publicKeys);
      return tx.applications.update(id, patch);
    },
    tell: (tx, changed) => tx.invalidate('application', id, changed.version),
  });
}
