// Ends a zone: from the commit on it exists for nobody, and every mandate of it is refused by its anchor.
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { Zone } from '../../domain/zone.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { type RevokingResult, afterBarrier } from '../revocations/wait.ts';

/** @throws not_found, version_mismatch, barrier_timeout (the end stands). */
export async function archiveZone(
  deps: ApiDeps,
  call: ZoneCall,
  { ifMatch, waitMs }: { ifMatch: IfMatch | undefined; waitMs: number | undefined },
): Promise<RevokingResult> {
  let revocationNumber = 0;
  await changeGuarded<Zone>(deps, call, {
    id: call.zoneId,
    entity: 'zone',
    rows: (tx) => tx.zones,
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: (tx) => tx.zones.archive(call.zoneId),
    tell: async (tx, zone) => {
      await tx.invalidate('zone', zone.id, zone.version);
      revocationNumber = await tx.revoke([{ kind: 'zone', id: zone.id }], 'zone archived');
    },
  });
  return afterBarrier(deps, revocationNumber, waitMs);
}
