// Registers a protected resource.
import { fail } from '#mesh/failure';
import { type Operation, type Resource, resourceProblems } from '../../domain/resource.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, found, givenFields } from '../admin-call.ts';
import { withFreeSlug } from '../choose-slug.ts';
import { createOnce } from '../create-once.ts';

export interface CreateResource {
  readonly identifier: string;
  readonly slug?: string | undefined;
  readonly name?: string | undefined;
  readonly kind?: string | undefined;
  readonly upstreamUrl: string;
  readonly scopes: readonly string[];
  readonly operations?: readonly Operation[] | undefined;
  readonly operationEnforcement?: boolean | undefined;
  readonly providerId?: string | undefined;
  readonly rateLimitPerMin?: number | undefined;
  readonly allowOddPaths?: boolean | undefined;
}

/** @throws invalid_request, not_found (zone, provider), conflict (identifier, slug). */
export async function createResource(deps: ApiDeps, call: ZoneCall, input: CreateResource): Promise<Created<Resource>> {
  const { zoneId } = call;
  const id = deps.newId();
  const row = {
    id,
    zoneId,
    identifier: input.identifier,
    name: input.name ?? input.identifier,
    kind: input.kind ?? 'http',
    upstreamUrl: input.upstreamUrl,
    scopes: input.scopes,
    operations: input.operations ?? [],
    operationEnforcement: input.operationEnforcement ?? false,
    providerId: input.providerId,
    rateLimitPerMin: input.rateLimitPerMin,
    allowOddPaths: input.allowOddPaths ?? false,
  };
  const fields = resourceProblems(row);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: async () => undefined,
    write: async (tx) => {
      await tx.requireZone();
      if (row.providerId !== undefined) found(await tx.providers.hold(row.providerId), 'provider');
      const wish = { slug: input.slug, name: row.name, fallback: 'resource' };
      const entity = await withFreeSlug(wish, (slug) => tx.resources.insertIfFree({ ...row, slug }));
      await tx.record(call.admin, {
        action: 'resource.create',
        entityType: 'resource',
        entityId: id,
        fields: givenFields(input),
      });
      await tx.invalidate('resource', id, entity.version);
      return { entity, status: 201 };
    },
  });
}
