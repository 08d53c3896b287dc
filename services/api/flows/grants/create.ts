// Records what a user lets an application do at a resource.
import { fail } from '#mesh/failure';
import { type Grant, grantProblems, issuerOfSubject, maxGrantsOfUser } from '../../domain/grant.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import { type Created, type ZoneCall, found, givenFields } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';

export interface CreateGrant {
  readonly applicationId: string;
  readonly subject: string;
  readonly resourceId: string;
  readonly scopes: readonly string[];
  readonly expiresAt?: string | undefined;
}

/** What the caches of the STS hold together: everything one user lets one application do. */
export function grantCacheId({ applicationId, subject }: Pick<Grant, 'applicationId' | 'subject'>): string {
  return `${applicationId} ${subject}`;
}

async function checkWhole(tx: ControlTransaction, input: CreateGrant, issuerId: string): Promise<void> {
  found(await tx.applications.hold(input.applicationId), 'application');
  found(await tx.subjectIssuers.hold(issuerId), 'subject issuer');
  const resource = found(await tx.resources.hold(input.resourceId), 'resource');
  const fields = grantProblems(input.scopes, resource.scopes);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  const { applicationId, subject } = input;
  const { items } = await tx.grants.page({ limit: maxGrantsOfUser, cursor: undefined }, { applicationId, subject });
  if (items.length >= maxGrantsOfUser) {
    throw fail('conflict', { description: `A user has at most ${maxGrantsOfUser} grants for one application.` });
  }
}

/** @throws invalid_request, not_found (zone, application, subject issuer, resource), conflict (there is one already). */
export async function createGrant(deps: ApiDeps, call: ZoneCall, input: CreateGrant): Promise<Created<Grant>> {
  const { zoneId } = call;
  const subjectIssuerId = issuerOfSubject(input.subject);
  if (subjectIssuerId === undefined) {
    throw fail('invalid_request', { fields: [{ path: 'subject', rule: 'user:<subject issuer id>:<sub>' }] });
  }
  const id = deps.newId();
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => undefined,
    write: async (tx) => {
      await tx.requireZone();
      await checkWhole(tx, input, subjectIssuerId);
      const entity = await tx.grants.insert({ id, zoneId, subjectIssuerId, ...input });
      await tx.record(call.admin, {
        action: 'grant.create',
        entityType: 'grant',
        entityId: id,
        fields: givenFields(input),
        facts: { subject: input.subject, application_id: input.applicationId, resource_id: input.resourceId },
      });
      await tx.invalidate('grant', grantCacheId(entity), entity.version);
      return { entity, status: 201 };
    },
  });
}
