// Sets of scopes and of resources: reading them, and the two operations by which authority only ever shrinks.
// It stands alone because every mint, edge and verdict is built from these few lines.

/** More than any resource declares; it bounds what one request can make every later check walk through. */
export const maxScopes = 64;

/** Long enough for a URL-like scope, short enough that a full set fits a mandate of 4 KiB many times over in practice. */
export const maxScopeLength = 200;

// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
const token = /^[\x21\x23-\x5B\x5D-\x7E]+$/;

/** True for one scope token of RFC 6749 §3.3 of at most 200 characters. Compared exactly; `*` has no meaning. */
export function isScopeToken(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxScopeLength && token.test(value);
}

/** The distinct values in code-unit order: the form in which sets are stored, signed and digested. */
export function sortedSet(values: readonly string[]): readonly string[] {
  return [...new Set(values)].toSorted();
}

/**
 * The scopes of a `scope` parameter: tokens separated by one space (RFC 6749 §3.3), distinct and sorted. Undefined when
 * the text is empty, breaks the syntax, or holds more than 64 tokens.
 */
export function parseScope(text: string): readonly string[] | undefined {
  if (text.length > maxScopes * (maxScopeLength + 1)) return undefined;
  const tokens = text.split(' ');
  if (tokens.length > maxScopes || !tokens.every(isScopeToken)) return undefined;
  return sortedSet(tokens);
}

/** The text of a set of scopes, in its stored order. */
export function formatScope(scopes: readonly string[]): string {
  return sortedSet(scopes).join(' ');
}

/** What is in every one of the sets, sorted. No sets give nothing. */
export function intersect(...sets: readonly (readonly string[])[]): readonly string[] {
  const [first, ...others] = sets.map((set) => new Set(set));
  if (first === undefined) return [];
  return [...first].filter((value) => others.every((other) => other.has(value))).toSorted();
}

/** True when every member of the first is a member of the second. */
export function isSubset(inner: readonly string[], outer: readonly string[]): boolean {
  const bound = new Set(outer);
  return inner.every((value) => bound.has(value));
}

/** What an authority covers. */
export interface Bound {
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
}
