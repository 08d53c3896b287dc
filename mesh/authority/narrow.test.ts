import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  earliestExpiry,
  formatScope,
  intersect,
  isSubset,
  maxScopeLength,
  maxScopes,
  narrowScopes,
  parseScope,
} from './index.ts';

/** Few names, so that sets overlap in every possible way. */
const scopes = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', '*', 'a:b'), { maxLength: 8 });

describe('reading a scope parameter', () => {
  test('gives its tokens once each and in order', () => {
    expect(parseScope('write read write')).toEqual(['read', 'write']);
    expect(formatScope(['write', 'read', 'write'])).toBe('read write');
  });

  test.each(['', ' ', 'a  b', ' a', 'a ', 'a\tb', 'a\nb', 'a"b', 'a\\b', 'ä', 'a\u0000'])('refuses %j', (text) => {
    expect(parseScope(text)).toBeUndefined();
  });

  test('is bounded in number and length', () => {
    const many = (count: number): string => Array.from({ length: count }, (_, at) => `s${at}`).join(' ');
    expect(parseScope(many(maxScopes))).toHaveLength(maxScopes);
    expect(parseScope(many(maxScopes + 1))).toBeUndefined();
    expect(parseScope('x'.repeat(maxScopeLength))).toHaveLength(1);
    expect(parseScope('x'.repeat(maxScopeLength + 1))).toBeUndefined();
    expect(parseScope('x '.repeat(1_000_000))).toBeUndefined();
  });

  test('reads what it wrote', () => {
    fc.assert(
      fc.property(scopes, (set) => {
        fc.pre(set.length > 0);
        expect(parseScope(formatScope(set))).toEqual([...new Set(set)].toSorted());
      }),
    );
  });
});

describe('intersecting', () => {
  test('gives exactly what is in every set', () => {
    fc.assert(
      fc.property(fc.array(scopes, { minLength: 1, maxLength: 5 }), (sets) => {
        const common = intersect(...sets);
        for (const scope of sets.flat()) {
          expect(common.includes(scope)).toBe(sets.every((set) => set.includes(scope)));
        }
        expect(sets.every((set) => isSubset(common, set))).toBe(true);
      }),
    );
  });

  test('of nothing is nothing', () => {
    expect(intersect()).toEqual([]);
  });
});

describe('narrowing a request', () => {
  test('never grants what any bound lacks, nor what was not asked for', () => {
    fc.assert(
      fc.property(fc.option(scopes, { nil: undefined }), fc.array(scopes, { maxLength: 5 }), (requested, bounds) => {
        const verdict = narrowScopes(requested, bounds);
        if (verdict.kind !== 'granted') return;
        expect(verdict.scopes.length).toBeGreaterThan(0);
        expect(bounds.length).toBeGreaterThan(0);
        for (const bound of bounds) expect(isSubset(verdict.scopes, bound)).toBe(true);
        if (requested !== undefined) expect(isSubset(verdict.scopes, requested)).toBe(true);
      }),
    );
  });

  test('grants no more when a bound is added or shrinks', () => {
    fc.assert(
      fc.property(fc.array(scopes, { minLength: 1, maxLength: 4 }), scopes, (bounds, extra) => {
        const wide = narrowScopes(undefined, bounds);
        const narrow = narrowScopes(undefined, [...bounds, extra]);
        if (narrow.kind !== 'granted') return;
        expect(wide.kind).toBe('granted');
        if (wide.kind === 'granted') expect(isSubset(narrow.scopes, wide.scopes)).toBe(true);
      }),
    );
  });

  test('says exactly which scopes exceed, and never cuts a request down silently', () => {
    fc.assert(
      fc.property(scopes, fc.array(scopes, { maxLength: 4 }), (requested, bounds) => {
        fc.pre(requested.length > 0);
        const verdict = narrowScopes(requested, bounds);
        const allowed = intersect(...bounds);
        const excess = [...new Set(requested)].filter((scope) => !allowed.includes(scope)).toSorted();
        if (excess.length > 0) expect(verdict).toEqual({ kind: 'exceeds', excess });
        else expect(verdict).toEqual({ kind: 'granted', scopes: [...new Set(requested)].toSorted() });
      }),
    );
  });

  test('gives all that the bounds share when nothing is named', () => {
    expect(
      narrowScopes(undefined, [
        ['a', 'b'],
        ['b', 'c', 'a'],
      ]),
    ).toEqual({ kind: 'granted', scopes: ['a', 'b'] });
  });

  test('gives nothing for an empty request, for nothing in common and without bounds', () => {
    expect(narrowScopes([], [['a']])).toEqual({ kind: 'empty' });
    expect(narrowScopes(undefined, [['a'], ['b']])).toEqual({ kind: 'empty' });
    expect(narrowScopes(undefined, [])).toEqual({ kind: 'empty' });
    expect(narrowScopes(['a'], [])).toEqual({ kind: 'exceeds', excess: ['a'] });
  });

  test('gives a star no meaning', () => {
    expect(narrowScopes(['a'], [['*']])).toEqual({ kind: 'exceeds', excess: ['a'] });
    expect(narrowScopes(['*'], [['a', 'b']])).toEqual({ kind: 'exceeds', excess: ['*'] });
  });
});

describe('the earliest expiry', () => {
  test('is the smallest of those given', () => {
    expect(earliestExpiry(30, undefined, 20, Number.POSITIVE_INFINITY)).toBe(20);
  });

  test('is long past when none is given or one is no number', () => {
    expect(earliestExpiry()).toBe(0);
    expect(earliestExpiry(undefined)).toBe(0);
    expect(earliestExpiry(50, Number.NaN)).toBe(0);
  });
});
