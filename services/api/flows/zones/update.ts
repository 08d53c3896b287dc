// Changes what may be changed of a zone.
import { fail } from '#mesh/failure';
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { Zone } from '../../domain/zone.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';
import { checkZone } from './check-zone.ts';

/** @throws invalid_request, not_found, version_mismatch, conflict (slug). */
export async function updateZone(
  deps: ApiDeps,
  call: ZoneCall,
  { patch, ifMatch }: { patch: Patch<Zone>; ifMatch: IfMatch },
): Promise<Zone> {
  checkZone(patch);
  if (patch.slug === null || patch.name === null) throw fail('invalid_request');
  return changeGuarded<Zone>(deps, call, {
    id: call.zoneId,
    entity: 'zone',
    rows: (tx) => tx.zones,
    ifMatch,
    verb: 'update',
    fields: changedFields(patch),
    apply: (tx) => tx.zones.update(call.zoneId, patch),
    tell: (tx, zone) => tx.invalidate('zone', zone.id, zone.version),
  });
}
