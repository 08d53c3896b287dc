import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSubset } from '#mesh/authority';
import { lifecycleScope } from './audience.ts';
import { meetAll, narrow } from './narrowing.ts';
import type { Above } from './narrowing.ts';

const scope = fc.constantFrom('a', 'b', 'c', 'd', lifecycleScope);
const scopes = fc.uniqueArray(scope);
const identifier = fc.constantFrom('r1', 'r2', 'r3');
const above: fc.Arbitrary<Above> = fc.record({
  scopes: fc.option(scopes, { nil: undefined }),
  resources: fc.option(fc.uniqueArray(identifier), { nil: undefined }),
});
const resources = fc.uniqueArray(fc.record({ identifier, scopes }), { selector: (resource) => resource.identifier });
const requested = fc.option(scopes, { nil: undefined });

describe('narrowing', () => {
  it('never grants a scope or resource that request, resource or bound lacks', () => {
    fc.assert(
      fc.property(requested, fc.array(above, { maxLength: 4 }), resources, (asked, bounds, declared) => {
        const outer = meetAll(bounds);
        const narrowing = narrow({ requested: asked, above: outer, resources: declared });
        if (narrowing.kind === 'disjoint') return;
        for (const { identifier: id, outcome } of narrowing.resources) {
          if (outcome.kind === 'refused') continue;
          expect(outcome.scopes.length).toBeGreaterThan(0);
          expect(outcome.scopes).not.toContain(lifecycleScope);
          expect(isSubset(outcome.scopes, declared.find((one) => one.identifier === id)?.scopes ?? [])).toBe(true);
          if (asked) expect(isSubset(outcome.scopes, asked)).toBe(true);
          for (const bound of bounds) {
            if (bound.scopes) expect(isSubset(outcome.scopes, bound.scopes)).toBe(true);
            if (bound.resources) expect(bound.resources).toContain(id);
          }
        }
      }),
    );
  });

  it('never widens along a chain of mints', () => {
    fc.assert(
      fc.property(
        resources,
        fc.array(fc.tuple(requested, above), { minLength: 1, maxLength: 6 }),
        (declared, steps) => {
          let held: Above = { scopes: undefined, resources: undefined };
          for (const [asked, bound] of steps) {
            const narrowing = narrow({ requested: asked, above: meetAll([held, bound]), resources: declared });
            if (narrowing.kind === 'disjoint') continue;
            const granted = narrowing.resources.flatMap(({ identifier: id, outcome }) =>
              outcome.kind === 'granted' ? [{ id, scopes: outcome.scopes }] : [],
            );
            const next = {
              scopes: [...new Set(granted.flatMap((one) => one.scopes))],
              resources: granted.map(({ id }) => id),
            };
            if (held.scopes) expect(isSubset(next.scopes, held.scopes)).toBe(true);
            if (held.resources) expect(isSubset(next.resources, held.resources)).toBe(true);
            held = next;
          }
        },
      ),
    );
  });

  it('gives every granted resource the same scopes, each of them its own', () => {
    fc.assert(
      fc.property(requested, above, resources, (asked, bound, declared) => {
        const narrowing = narrow({ requested: asked, above: bound, resources: declared });
        if (narrowing.kind === 'disjoint') return;
        const granted = narrowing.resources.flatMap(({ outcome }) =>
          outcome.kind === 'granted' ? [outcome.scopes] : [],
        );
        for (const scopesOfOne of granted) expect(scopesOfOne).toEqual(granted[0]);
      }),
    );
  });

  it('grants everything in common when no scope is named, and refuses an excess by name', () => {
    const open = { scopes: undefined, resources: undefined };
    const r1 = { identifier: 'r1', scopes: ['a', 'b'] };
    const r2 = { identifier: 'r2', scopes: ['b', 'c'] };
    const outcomes = (asked: string[] | undefined, bound: Above = open, declared = [r1, r2]): unknown => {
      const narrowing = narrow({ requested: asked, above: bound, resources: declared });
      return narrowing.kind === 'disjoint' ? 'disjoint' : narrowing.resources.map(({ outcome }) => outcome);
    };
    const granted = (...scopesOfAll: string[]): unknown => ({ kind: 'granted', scopes: scopesOfAll });
    expect(outcomes(undefined, open, [r1])).toEqual([granted('a', 'b')]);
    expect(outcomes(undefined)).toEqual([granted('b'), granted('b')]);
    expect(outcomes(undefined, { ...open, scopes: ['a', 'c'] })).toBe('disjoint');
    expect(outcomes(['a'])).toEqual([granted('a'), { kind: 'refused', cause: 'scope_exceeds', excess: ['a'] }]);
    expect(outcomes(['a'], { ...open, resources: ['r2'] })).toEqual([
      { kind: 'refused', cause: 'outside_authority' },
      { kind: 'refused', cause: 'scope_exceeds', excess: ['a'] },
    ]);
    expect(outcomes(['a'], { ...open, scopes: [] }, [r1])).toEqual([{ kind: 'refused', cause: 'no_scope_left' }]);
  });
});
