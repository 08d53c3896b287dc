// Changes how an issuer's tokens are read. Its name in them stays: another issuer is another registration, so that its
// users are never taken for those of the one before.
import { fail } from '#mesh/failure';
import type { IfMatch } from '../../domain/entity-tag.ts';
import { type SubjectIssuer, subjectIssuerProblems } from '../../domain/subject-issuer.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';

/** @throws invalid_request, not_found, version_mismatch. */
export async function updateSubjectIssuer(
  deps: ApiDeps,
  call: ZoneCall,
  { id, patch, ifMatch }: { id: string; patch: Patch<SubjectIssuer>; ifMatch: IfMatch },
): Promise<SubjectIssuer> {
  return changeGuarded<SubjectIssuer>(deps, call, {
    id,
    entity: 'subject_issuer',
    rows: (tx) => tx.subjectIssuers,
    ifMatch,
    verb: 'update',
    fields: changedFields(patch),
    apply: async (tx, current) => {
      const { issuer } = current;
      const row = { issuer, jwksUrl: patch.jwksUrl ?? current.jwksUrl, claims: patch.claims ?? current.claims };
      const fields = subjectIssuerProblems(row, deps.subjectIssuerRules);
      if (fields.length > 0) throw fail('invalid_request', { fields });
      return tx.subjectIssuers.update(id, patch);
    },
    tell: (tx, changed) => tx.invalidate('subject_issuer', id, changed.version),
  });
}
