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

function refuse(rule: string, path: string): never {
  throw new JsonRefused(rule, path);
}

function checkNumber(value: number, path: string): void {
  if (!Number.isFinite(value)) refuse('a number must be finite', path);
  // RFC 8785 §3.2.2.3 writes numbers as IEEE 754 doubles: beyond 2^53 two different integers share one text.
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) refuse('an integer must lie within ±(2^53-1)', path);
}

function checkText(value: string, path: string): void {
  // RFC 8785 §3.2.2.2: a lone surrogate has no UTF-8 form.
  if (!value.isWellFormed()) refuse('text must hold no lone surrogate', path);
}

function checkObject(value: object, path: string, depth: number): void {
  if (Array.isArray(value)) {
    // forEach would skip holes, which must be refused as undefined.
    for (let at = 0; at < value.length; at += 1) check(value[at], `${path}[${at}]`, depth + 1);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) refuse('only plain objects have a JSON form', path);
  for (const [key, member] of Object.entries(value)) {
    checkText(key, path);
    check(member, path === '' ? key : `${path}.${key}`, depth + 1);
  }
}

function check(value: unknown, path: string, depth: number): void {
  if (depth > maxCanonicalDepth) refuse(`at most ${maxCanonicalDepth} levels deep`, '');
  if (typeof value === 'string') checkText(value, path);
  else if (typeof value === 'number') checkNumber(value, path);
  else if (typeof value === 'object' && value !== null) checkObject(value, path, depth);
  else if (typeof value !== 'boolean' && value !== null) refuse(`${typeof value} has no JSON form`, path);
}

/**
 * The RFC 8785 text of a value.
 * @throws JsonRefused for what has no single canonical form: non-finite numbers, integers beyond ±(2^53-1), lone
 * surrogates, undefined (members and elements too), functions, dates and other class instances, cycles, and values
 * nested deeper than {@link maxCanonicalDepth}.
 */
export function canonicalJson(value: JsonValue): string {
  check(value, '', 0);
  const text = serialize(value);
  if (text === undefined) throw new JsonRefused('undefined has no JSON form', '');
  return text;
}
