// What a mint may grant: for each resource the scopes that request, resource and everything above allow together.
// Nothing here ever returns a scope or resource that one of the bounds lacks.
import { intersect } from '#mesh/authority';
import { lifecycleScope } from './audience.ts';

/** Everything above the new mandate, already intersected: subject, session holding, path. Undefined bounds nothing. */
export interface Above {
  readonly scopes: readonly string[] | undefined;
  readonly resources: readonly string[] | undefined;
}

/** Intersects bounds; one that is undefined leaves the other as it is. */
export function meet(
  a: readonly string[] | undefined,
  b: readonly string[] | undefined,
): readonly string[] | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : intersect(a, b);
}

/** The meet of several outer bounds. */
export function meetAll(bounds: readonly Above[]): Above {
  return bounds.reduce<Above>(
    (sum, bound) => ({ scopes: meet(sum.scopes, bound.scopes), resources: meet(sum.resources, bound.resources) }),
    { scopes: undefined, resources: undefined },
  );
}

export type ResourceRefusal = 'outside_authority' | 'no_scope_left';
export interface NarrowedResource {
  readonly identifier: string;
  /** Granted scopes, or why none. */
  readonly outcome:
    | { readonly kind: 'granted'; readonly scopes: readonly string[] }
    | { readonly kind: 'refused'; readonly cause: ResourceRefusal };
}

export type Narrowing =
  | { readonly kind: 'narrowed'; readonly resources: readonly NarrowedResource[] }
  /** Scopes were asked for that no requested resource allows; `excess` names them. */
  | { readonly kind: 'exceeds'; readonly excess: readonly string[] };

export interface NarrowingRequest {
  /** Undefined asks for everything that is allowed. */
  readonly requested: readonly string[] | undefined;
  readonly above: Above;
  readonly resources: readonly { readonly identifier: string; readonly scopes: readonly string[] }[];
}

/**
 * Narrows per resource. A resource outside the bound is refused by itself; a requested scope that no resource can give
 * refuses the request, because its caller counts on it. `agent:lifecycle` belongs to no resource and never comes from one.
 */
export function narrow(request: NarrowingRequest): Narrowing {
  const requested = request.requested?.filter((scope) => scope !== lifecycleScope);
  const resources = request.resources.map((resource) => narrowOne(resource, requested, request.above));
  if (requested !== undefined) {
    const given = new Set(resources.flatMap(({ outcome }) => (outcome.kind === 'granted' ? outcome.scopes : [])));
    const excess = requested.filter((scope) => !given.has(scope));
    if (excess.length > 0 && given.size > 0) return { kind: 'exceeds', excess };
  }
  return { kind: 'narrowed', resources };
}

function narrowOne(
  resource: NarrowingRequest['resources'][number],
  requested: readonly string[] | undefined,
  above: Above,
): NarrowedResource {
  const { identifier } = resource;
  if (above.resources !== undefined && !above.resources.includes(identifier)) {
    return { identifier, outcome: { kind: 'refused', cause: 'outside_authority' } };
  }
  const declared = resource.scopes.filter((scope) => scope !== lifecycleScope);
  const scopes = meet(meet(declared, above.scopes), requested) ?? [];
  return scopes.length > 0
    ? { identifier, outcome: { kind: 'granted', scopes } }
    : { identifier, outcome: { kind: 'refused', cause: 'no_scope_left' } };
}
