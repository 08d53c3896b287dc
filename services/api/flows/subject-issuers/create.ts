// Registers an issuer of users.
import { fail } from '#mesh/failure';
import { type SubjectIssuer, maxSubjectIssuers, subjectIssuerProblems } from '../../domain/subject-issuer.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, givenFields } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';

export interface CreateSubjectIssuer {
  readonly name?: string | undefined;
  readonly issuer: string;
  readonly jwksUrl: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly claims?: Readonly<Record<string, string>> | undefined;
  readonly mayAct?: string | undefined;
}

/** @throws invalid_request, not_found (zone), conflict (issuer; too many). */
export async function createSubjectIssuer(
  deps: ApiDeps,
  call: ZoneCall,
  input: CreateSubjectIssuer,
): Promise<Created<SubjectIssuer>> {
  const { zoneId } = call;
  const id = deps.newId();
  const row = {
    id,
    zoneId,
    name: input.name ?? input.issuer.slice(0, 256),
    issuer: input.issuer,
    jwksUrl: input.jwksUrl,
    audience: input.audience,
    algorithms: input.algorithms,
    claims: input.claims ?? {},
    mayAct: input.mayAct ?? 'none',
  };
  const fields = subjectIssuerProblems(row, deps.subjectIssuerRules);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => undefined,
    write: async (tx) => {
      await tx.requireZone();
      const { items } = await tx.subjectIssuers.page({ limit: maxSubjectIssuers, cursor: undefined });
      if (items.length >= maxSubjectIssuers) {
        throw fail('conflict', { description: `A zone has at most ${maxSubjectIssuers} subject issuers.` });
      }
      const entity = await tx.subjectIssuers.insert(row);
      await tx.record(call.admin, {
        action: 'subject_issuer.create',
        entityType: 'subject_issuer',
        entityId: id,
        fields: givenFields(input),
      });
      await tx.invalidate('subject_issuer', id, entity.version);
      return { entity, status: 201 };
    },
  });
}
