// Revokes a grant. The anchor is the user's: mandates of that user, whatever application holds them, are minted anew from
// the grants that are left, because no anchor names a single grant.
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { Grant } from '../../domain/grant.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { type RevokingResult, afterBarrier } from '../revocations/wait.ts';
import { grantCacheId } from './create.ts';

/** @throws not_found, version_mismatch, barrier_timeout (the revocation stands). */
export async function archiveGrant(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch, waitMs }: { id: string; ifMatch: IfMatch | undefined; waitMs: number | undefined },
): Promise<RevokingResult> {
  let revocationNumber = 0;
  await changeGuarded<Grant>(deps, call, {
    id,
    entity: 'grant',
    rows: (tx) => tx.grants,
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: (tx) => tx.grants.archive(id),
    tell: async (tx, changed) => {
      await tx.invalidate('grant', grantCacheId(changed), changed.version);
      revocationNumber = await tx.revoke([{ kind: 'subject', id: changed.subject }], 'grant revoked');
    },
  });
  return afterBarrier(deps, revocationNumber, waitMs);
}
