// Ends an issuer: no user of it is taken any more, their grants end with it, and so does every mandate that has authority.
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { type RevokingResult, afterBarrier } from '../revocations/wait.ts';

/** @throws not_found, version_mismatch, barrier_timeout (the end stands). */
export async function archiveSubjectIssuer(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch, waitMs }: { id: string; ifMatch: IfMatch | undefined; waitMs: number | undefined },
): Promise<RevokingResult> {
  let revocationNumber = 0;
  await changeGuarded<SubjectIssuer>(deps, call, {
    id,
    entity: 'subject_issuer',
    rows: (tx) => tx.subjectIssuers,
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: (tx) => tx.subjectIssuers.archive(id),
    tell: async (tx, changed) => {
      // Only who granted something can have a mandate that opens anything; the STS refuses all others by the issuer.
      const subjects = await tx.archiveGrantsOf(id);
      await tx.invalidate('subject_issuer', id, changed.version);
      if (subjects.length === 0) return;
      const anchors = subjects.map((subject) => ({ kind: 'subject', id: subject }) as const);
      revocationNumber = await tx.revoke(anchors, 'subject issuer archived');
    },
  });
  return afterBarrier(deps, revocationNumber, waitMs);
}
