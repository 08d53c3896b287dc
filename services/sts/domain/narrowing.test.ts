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
        if (narrowing.kind === 'exceeds') return;
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
            if (narrowing.kind === 'exceeds') continue;
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

  it('grants everything allowed when no scope is named, and refuses an excess by name', () => {
    const declared = [{ identifier: 'r1', scopes: ['a', 'b'] }];
    const open = { scopes: undefined, resources: undefined };
    expect(narrow({ requested: undefined, above: open, resources: declared })).toMatchObject({
      resources: [{ outcome: { kind: 'granted', scopes: ['a', 'b'] } }],
    });
    expect(narrow({ requested: ['a', 'z'], above: open, resources: declared })).toEqual({
      kind: 'exceeds',
      excess: ['z'],
    });
    expect(narrow({ requested: ['z'], above: open, resources: declared })).toMatchObject({
      resources: [{ outcome: { kind: 'refused', cause: 'no_scope_left' } }],
    });
    expect(narrow({ requested: ['a'], above: { ...open, resources: [] }, resources: declared })).toMatchObject({
      resources: [{ outcome: { kind: 'refused', cause: 'outside_authority' } }],
    });
  });
});
