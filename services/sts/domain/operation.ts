// Which declared operation a call is, and so which scope it needs. Patterns: `*` stands for one non-empty segment, `**`
// for at least one segment more and only at the end; case counts; the most specific pattern wins.
import type { Operation } from './directory.ts';

function segments(path: string): readonly string[] {
  return path.split('/').slice(1);
}

function pathMatches(pattern: readonly string[], path: readonly string[]): boolean {
  for (const [index, part] of pattern.entries()) {
    if (part === '**') return index === pattern.length - 1 && path.length > index;
    const actual = path[index];
    if (actual === undefined) return false;
    if (part === '*' ? actual === '' : part !== actual) return false;
  }
  return pattern.length === path.length;
}

/** Per segment: literal before `*` before `**`; then an exact method before `*`. Greater is more specific. */
function specificity(operation: Operation): readonly number[] {
  const rank = (part: string): number => {
    if (part === '**') return 1;
    return part === '*' ? 2 : 3;
  };
  return [...segments(operation.path).map(rank), operation.method === '*' ? 0 : 1];
}

function moreSpecific(a: readonly number[], b: readonly number[]): boolean {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** The most specific operation that names this method and path, or undefined. */
export function matchOperation(operations: readonly Operation[], method: string, path: string): Operation | undefined {
  const actual = segments(path);
  let best: { operation: Operation; rank: readonly number[] } | undefined;
  for (const operation of operations) {
    if (operation.method !== '*' && operation.method !== method) continue;
    if (!pathMatches(segments(operation.path), actual)) continue;
    const rank = specificity(operation);
    if (!best || moreSpecific(rank, best.rank)) best = { operation, rank };
  }
  return best?.operation;
}

export type OperationVerdict =
  | { readonly kind: 'needs'; readonly scopes: readonly string[] }
  /** No operation named the call and the resource does not insist: everything the mandate has here. */
  | { readonly kind: 'unmatched' }
  | { readonly kind: 'undeclared' };

/** What the call needs of the resource. */
export function requiredScopes(
  resource: { readonly operations: readonly Operation[]; readonly operationEnforcement: boolean },
  method: string,
  path: string,
): OperationVerdict {
  const operation = matchOperation(resource.operations, method, path);
  if (operation) return { kind: 'needs', scopes: [operation.scope] };
  return resource.operationEnforcement ? { kind: 'undeclared' } : { kind: 'unmatched' };
}
