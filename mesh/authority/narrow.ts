// What a request may get out of the bounds above it.
// It stands alone because this verdict is the one place where "nothing ever widens" is decided for scopes.
import { intersect, sortedSet } from './scope.ts';

export type NarrowVerdict =
  /** The scopes to grant: never empty, sorted, all within every bound. */
  | { readonly kind: 'granted'; readonly scopes: readonly string[] }
  /** The request names scopes that some bound lacks; `excess` are those. */
  | { readonly kind: 'exceeds'; readonly excess: readonly string[] }
  /** Nothing would be granted: an empty request, or bounds with nothing in common. */
  | { readonly kind: 'empty' };

/**
 * Narrows a request by every bound. Omitted means all that the bounds have in common; asking for more than that is
 * refused and never cut down silently. Without any bound nothing is granted.
 */
export function narrowScopes(
  requested: readonly string[] | undefined,
  bounds: readonly (readonly string[])[],
): NarrowVerdict {
  const allowed = intersect(...bounds);
  if (requested === undefined) return allowed.length === 0 ? { kind: 'empty' } : { kind: 'granted', scopes: allowed };
  const wanted = sortedSet(requested);
  if (wanted.length === 0) return { kind: 'empty' };
  const within = new Set(allowed);
  const excess = wanted.filter((scope) => !within.has(scope));
  return excess.length > 0 ? { kind: 'exceeds', excess } : { kind: 'granted', scopes: wanted };
}

/**
 * The earliest of the moments that are given, epoch milliseconds. 0, long past, when none is given or one is no number:
 * nothing lives by default.
 */
export function earliestExpiry(...candidates: readonly (number | undefined)[]): number {
  const given = candidates.filter((candidate) => candidate !== undefined);
  if (given.length === 0 || given.some(Number.isNaN)) return 0;
  return Math.min(...given);
}
