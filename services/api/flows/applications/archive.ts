// Ends an application: nothing is minted for it any more, and its mandates are refused by its anchor.
import type { Application } from '../../domain/application.ts';
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { type RevokingResult, afterBarrier } from '../revocations/wait.ts';

/** @throws not_found, version_mismatch, barrier_timeout (the end stands). */
export async function archiveApplication(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch, waitMs }: { id: string; ifMatch: IfMatch | undefined; waitMs: number | undefined },
): Promise<RevokingResult> {
  let revocationNumber = 0;
  await changeGuarded<Application>(deps, call, {
    id,
    entity: 'application',
    rows: (tx) => tx.applications,
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: (tx) => tx.applications.archive(id),
    tell: async (tx, changed) => {
      await tx.invalidate('application', id, changed.version);
      revocationNumber = await tx.revoke([{ kind: 'application', id }], 'application archived');
    },
  });
  return afterBarrier(deps, revocationNumber, waitMs);
}
