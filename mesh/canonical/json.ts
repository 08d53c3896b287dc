// The canonical text of a JSON value: the one form that is digested, chained and shown to policy.
// It stands alone because two parties that disagree on one byte of it disagree on every digest.
import serialize from 'canonicalize';
import { JsonRefused } from './json-refused.ts';

/** Any value that JSON can carry. The same shape as in #mesh/failure; libraries of one row know nothing of each other. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | Members;

interface Members {
  readonly [key: string]: JsonValue;
}

/**
 * Twice what any document of ours needs; it bounds the walk below, ends cycles, and stays far from the depth at which
 * parsers in other languages give up.
 */
export const maxCanonicalDepth = 128;

/** Where a walk is (restored on the way out), how deep it may go, and what it has seen of names. */
interface Walk {
  readonly place: (string | number)[];
  readonly maxDepth: number;
  /** Every object's members stand in the order of RFC 8785 §3.2.3. */
  isOrdered: boolean;
  /** No name keeps a place of its own in ECMAScript, as indexes do, or means something else when it is assigned. */
  isSortable: boolean;
}

const newWalk = (maxDepth: number): Walk => ({ place: [], maxDepth, isOrdered: true, isSortable: true });

/** RFC 8785 §3.2.2.2: a lone surrogate has no UTF-8 form. */
function checkText(value: string, { place }: Walk): void {
  if (!value.isWellFormed()) throw new JsonRefused('text must hold no lone surrogate', place);
}

/** RFC 8785 §3.2.2.3: numbers are IEEE 754 doubles; beyond 2^53 two different integers would share one text. */
function checkNumber(value: number, { place }: Walk): void {
  if (Number.isSafeInteger(value)) return;
  if (!Number.isFinite(value)) throw new JsonRefused('a number must be finite', place);
  if (Number.isInteger(value)) throw new JsonRefused('an integer must lie within ±(2^53-1)', place);
}

/** Throws for the first value that has no canonical form. */
function check(value: unknown, walk: Walk): void {
  if (typeof value === 'string') return checkText(value, walk);
  if (typeof value === 'number') return checkNumber(value, walk);
  if (typeof value === 'boolean' || value === null) return undefined;
  if (typeof value !== 'object') throw new JsonRefused(`${typeof value} has no JSON form`, walk.place);
  if (walk.place.length >= walk.maxDepth) throw new JsonRefused(`at most ${walk.maxDepth} levels deep`);
  return Array.isArray(value) ? checkElements(value, walk) : checkMembers(value as Members, walk);
}

function checkElements(elements: readonly unknown[], walk: Walk): void {
  // An index loop, because iterating helpers skip holes, which have no JSON form.
  for (let at = 0; at < elements.length; at += 1) {
    walk.place.push(at);
    check(elements[at], walk);
    walk.place.pop();
  }
}

const digits = /^[0-9]/;

function checkMembers(value: Members, walk: Walk): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new JsonRefused('only plain objects have a JSON form', walk.place);
  }
  let before = '';
  for (const key of Object.keys(value)) {
    checkText(key, walk);
    // Strings compare by UTF-16 code units, which is the order of §3.2.3.
    if (key < before) walk.isOrdered = false;
    if (digits.test(key) || key === '__proto__') walk.isSortable = false;
    before = key;
    walk.place.push(key);
    check(value[key], walk);
    walk.place.pop();
  }
}

/** The same value with the members of every object in order. */
function ordered(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(ordered);
  const members = value as Members;
  const copy: Record<string, JsonValue> = {};
  for (const key of Object.keys(members).sort()) copy[key] = ordered(members[key] ?? null);
  return copy;
}

/**
 * RFC 8785 took ECMAScript's own serialization of text (§3.2.2.2) and numbers (§3.2.2.3), so that members in order are all
 * it needs; values whose members cannot be put in order here are left to a library.
 */
function serialized(value: JsonValue, { isOrdered, isSortable }: Walk): string {
  if (isOrdered) return JSON.stringify(value);
  return isSortable ? JSON.stringify(ordered(value)) : (serialize(value) ?? '');
}

/**
 * The RFC 8785 text of a value.
 * @throws JsonRefused for what has no single canonical form: non-finite numbers, integers beyond ±(2^53-1), lone
 * surrogates, undefined (members and elements too), functions, dates and other class instances, cycles, and values
 * nested deeper than {@link maxCanonicalDepth}.
 */
export function canonicalJson(value: JsonValue): string {
  const walk = newWalk(maxCanonicalDepth);
  check(value, walk);
  return serialized(value, walk);
}

/**
 * The value of a text that is its own canonical form; undefined for every other text, acceptable or not. Such a text
 * keeps all rules of `parseStrictJson`: a repeated name or an inexact number would not come back as it was. It costs a
 * fifth of what reading and writing anew do.
 */
export function parseCanonicalJson(text: string, maxDepth: number): JsonValue | undefined {
  try {
    const value = JSON.parse(text) as JsonValue;
    const walk = newWalk(Math.min(maxDepth, maxCanonicalDepth));
    check(value, walk);
    return serialized(value, walk) === text ? value : undefined;
  } catch {
    return undefined;
  }
}
