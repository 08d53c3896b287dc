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

export type ResourceRefusal =
  | { readonly kind: 'refused'; readonly cause: 'outside_authority' | 'no_scope_left' }
  /** Scopes were named that this resource cannot be given; `excess` are those. */
  | { readonly kind: 'refused'; readonly cause: 'scope_exceeds'; readonly excess: readonly string[] };
export interface NarrowedResource {
  readonly identifier: string;
  readonly outcome: { readonly kind: 'granted'; readonly scopes: readonly string[] } | ResourceRefusal;
}

export type Narrowing =
  /** Every granted resource has the same scopes. */
  | { readonly kind: 'narrowed'; readonly resources: readonly NarrowedResource[] }
  /** No scope was named, and the resources have none in common. */
  | { readonly kind: 'disjoint' };

export interface NarrowingRequest {
  /** Undefined asks for everything that is allowed. */
  readonly requested: readonly string[] | undefined;
  readonly above: Above;
  readonly resources: readonly { readonly identifier: string; readonly scopes: readonly string[] }[];
}

/** What one resource could be given; `agent:lifecycle` belongs to no resource and never comes from one. */
function allowedOn(resource: NarrowingRequest['resources'][number], above: Above): readonly string[] | undefined {
  if (above.resources !== undefined && !above.resources.includes(resource.identifier)) return undefined;
  const declared = resource.scopes.filter((scope) => scope !== lifecycleScope);
  return meet(declared, above.scopes) ?? [];
}

function grant(allowed: readonly string[] | undefined, wanted: readonly string[]): NarrowedResource['outcome'] {
  if (allowed === undefined) return { kind: 'refused', cause: 'outside_authority' };
  if (allowed.length === 0 || wanted.length === 0) return { kind: 'refused', cause: 'no_scope_left' };
  const excess = wanted.filter((scope) => !allowed.includes(scope));
  if (excess.length > 0) return { kind: 'refused', cause: 'scope_exceeds', excess };
  return { kind: 'granted', scopes: intersect(wanted) };
}

/**
 * Narrows per resource. A mandate names its scopes once for all its targets, so every resource it grants is granted the
 * same ones: those that were named, or, when none were, those that all resources with any allow. A resource that cannot
 * be given them is refused by itself.
 */
export function narrow(request: NarrowingRequest): Narrowing {
  const { above } = request;
  const allowed = request.resources.map((resource) => ({
    identifier: resource.identifier,
    scopes: allowedOn(resource, above),
  }));
  const open = allowed.flatMap(({ scopes }) => (scopes && scopes.length > 0 ? [scopes] : []));
  const wanted = request.requested?.filter((scope) => scope !== lifecycleScope) ?? intersect(...open);
  if (request.requested === undefined && open.length > 0 && wanted.length === 0) return { kind: 'disjoint' };
  return {
    kind: 'narrowed',
    resources: allowed.map(({ identifier, scopes }) => ({ identifier, outcome: grant(scopes, wanted) })),
  };
}
