// The canonical text of a JSON value: the one form that is digested, chained and shown to policy.
// It stands alone because two parties that disagree on one byte of it disagree on every digest.
import serialize from 'canonicalize';
import { JsonRefused } from './json-refused.ts';

/** Any value that JSON can carry. The same shape as in #mesh/failure; libraries of one row know nothing of each other. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * Twice what any document of ours needs; it bounds the walk below, ends cycles, and stays far from the depth at which
 * parsers in other languages give up.
 */
export const maxCanonicalDepth = 128;

/** What is wrong with a number, if anything. */
function numberRule(value: number): string | undefined {
  if (!Number.isFinite(value)) return 'a number must be finite';
  // RFC 8785 §3.2.2.3 writes numbers as IEEE 754 doubles: beyond 2^53 two different integers share one text.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? 'an integer must lie within ±(2^53-1)' : undefined;
}

/** RFC 8785 §3.2.2.2: a lone surrogate has no UTF-8 form. */
function textRule(value: string): string | undefined {
  return value.isWellFormed() ? undefined : 'text must hold no lone surrogate';
}

function scalarRule(value: unknown): string | undefined {
  if (typeof value === 'string') return textRule(value);
  if (typeof value === 'number') return numberRule(value);
  return typeof value === 'boolean' || value === null ? undefined : `${typeof value} has no JSON form`;
}

/** Throws for the first value below `value` that has no canonical form; `place` is shared and restored on the way out. */
function check(value: unknown, place: (string | number)[]): void {
  if (typeof value !== 'object' || value === null) {
    const rule = scalarRule(value);
    if (rule !== undefined) throw new JsonRefused(rule, place);
    return;
  }
  if (place.length >= maxCanonicalDepth) throw new JsonRefused(`at most ${maxCanonicalDepth} levels deep`);
  if (Array.isArray(value)) checkElements(value, place);
  else checkMembers(value, place);
}

function checkElements(elements: readonly unknown[], place: (string | number)[]): void {
  // An index loop, because iterating helpers skip holes, which have no JSON form.
  for (let at = 0; at < elements.length; at += 1) {
    place.push(at);
    check(elements[at], place);
    place.pop();
  }
}

function checkMembers(value: object, place: (string | number)[]): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new JsonRefused('only plain objects have a JSON form', place);
  }
  for (const [key, member] of Object.entries(value)) {
    const rule = textRule(key);
    if (rule !== undefined) throw new JsonRefused(rule, place);
    place.push(key);
    check(member, place);
    place.pop();
  }
}

/**
 * The RFC 8785 text of a value.
 * @throws JsonRefused for what has no single canonical form: non-finite numbers, integers beyond ±(2^53-1), lone
 * surrogates, undefined (members and elements too), functions, dates and other class instances, cycles, and values
 * nested deeper than {@link maxCanonicalDepth}.
 */
export function canonicalJson(value: JsonValue): string {
  check(value, []);
  const text = serialize(value);
  if (text === undefined) throw new JsonRefused('undefined has no JSON form');
  return text;
}
