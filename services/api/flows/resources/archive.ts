// Ends a resource: it is routed to and granted no more.
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { Resource } from '../../domain/resource.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';

/** @throws not_found, version_mismatch. */
export async function archiveResource(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch }: { id: string; ifMatch: IfMatch | undefined },
): Promise<void> {
  await changeGuarded<Resource>(deps, call, {
    id,
    entity: 'resource',
    rows: (tx) => tx.resources,
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: (tx) => tx.resources.archive(id),
    tell: (tx, changed) => tx.invalidate('resource', id, changed.version),
  });
}
