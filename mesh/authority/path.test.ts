import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkPath, isSubset, maxPathEdges, type PathEdge, type PathRefusal } from './index.ts';

const now = 1_000_000;

/** A path of `count` edges s0 → s1 → …, each as wide as it may be. */
function path(count: number): PathEdge[] {
  return Array.from({ length: count }, (_, at) => ({
    id: `e${at}`,
    ...(at === 0 ? {} : { parentEdgeId: `e${at - 1}` }),
    sourceSessionId: `s${at}`,
    targetSessionId: `s${at + 1}`,
    issuerApplicationId: `app${at}`,
    receiverApplicationId: `app${at + 1}`,
    scopes: ['read', 'write'],
    resources: [],
    maxHops: maxPathEdges - at,
    expiresAtMs: now + 60_000,
    state: 'active',
  }));
}

/** The verdict on a path of three edges whose edge `at` is changed. */
function changed(at: number, change: Partial<PathEdge>) {
  const edges = path(3);
  edges[at] = { ...edges[at]!, ...change };
  return checkPath(edges, now);
}

function refused(reason: PathRefusal, edgeId: string) {
  return { kind: 'refused', reason, edgeId };
}

describe('a delegation path', () => {
  test('carries what its last edge says, until its first end', () => {
    const edges = path(3);
    edges[1] = { ...edges[1]!, scopes: ['read'], resources: ['r1', 'r2'], expiresAtMs: now + 5000 };
    edges[2] = { ...edges[2]!, scopes: ['read'], resources: ['r2'] };
    expect(checkPath(edges, now)).toEqual({
      kind: 'valid',
      scopes: ['read'],
      resources: ['r2'],
      expiresAtMs: now + 5000,
      hopCount: 3,
    });
  });

  test("without resources of its own leaves the source's, and an edge without inherits those above", () => {
    expect(checkPath(path(2), now)).toMatchObject({ kind: 'valid', resources: [] });
    expect(changed(1, { resources: ['r1'] })).toMatchObject({ kind: 'valid', resources: ['r1'] });
  });

  test('ends mandates after the shortest life any edge allows', () => {
    expect(changed(1, { ttlSeconds: 10 })).toMatchObject({ kind: 'valid', expiresAtMs: now + 10_000 });
    expect(changed(0, { ttlSeconds: 3600 })).toMatchObject({ kind: 'valid', expiresAtMs: now + 60_000 });
  });

  test('as long as its root allows is valid, and one edge more is not', () => {
    expect(checkPath(path(maxPathEdges), now)).toMatchObject({ kind: 'valid', hopCount: maxPathEdges });
    expect(checkPath(path(maxPathEdges + 1), now)).toEqual(refused('too_long', `e${maxPathEdges}`));
    const single = path(2).map((edge) => ({ ...edge, maxHops: 1 }));
    expect(checkPath(single.slice(0, 1), now)).toMatchObject({ kind: 'valid' });
    expect(checkPath(single, now)).toEqual(refused('hops_exceeded', 'e1'));
  });

  test('without edges carries nothing', () => {
    expect(checkPath([], now)).toEqual({ kind: 'refused', reason: 'empty_path', edgeId: undefined });
  });

  test.each<[number, Partial<PathEdge>, PathRefusal]>([
    [0, { state: 'pending' }, 'not_active'],
    [1, { state: 'revoked' }, 'not_active'],
    [2, { state: 'ACTIVE' }, 'not_active'],
    [1, { expiresAtMs: now }, 'expired'],
    [2, { expiresAtMs: Number.NaN }, 'expired'],
    [2, { ttlSeconds: 0 }, 'expired'],
    [2, { ttlSeconds: Number.NaN }, 'expired'],
    [0, { scopes: [] }, 'no_scopes'],
    [0, { parentEdgeId: 'e9' }, 'broken'],
    [1, { parentEdgeId: 'e9' }, 'broken'],
    [1, { parentEdgeId: undefined }, 'broken'],
    [1, { sourceSessionId: 's9' }, 'broken'],
    [1, { issuerApplicationId: 'app9' }, 'broken'],
    [0, { targetSessionId: 's0' }, 'cycle'],
    [2, { targetSessionId: 's0' }, 'cycle'],
    [2, { targetSessionId: 's1' }, 'cycle'],
    [1, { scopes: ['read', 'admin'] }, 'scopes_widened'],
    [1, { maxHops: maxPathEdges }, 'hops_exceeded'],
    [0, { maxHops: 0 }, 'hops_exceeded'],
    [0, { maxHops: maxPathEdges + 1 }, 'hops_exceeded'],
    [0, { maxHops: Number.NaN }, 'hops_exceeded'],
  ])('whose edge %i has %j is refused as %s', (at, change, reason) => {
    expect(changed(at, change)).toEqual(refused(reason, `e${at}`));
  });

  test('may not leave the resources of an edge above, even over one that names none', () => {
    const edges = path(3);
    edges[0] = { ...edges[0]!, resources: ['r1'] };
    edges[2] = { ...edges[2]!, resources: ['r1', 'r2'] };
    expect(checkPath(edges, now)).toEqual(refused('resources_widened', 'e2'));
  });

  test('never widens: whatever the edges say, a valid path lies within each of them', () => {
    const names = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 });
    const edge = fc.record({
      scopes: names,
      resources: names,
      maxHops: fc.integer({ min: 0, max: 11 }),
      ttlSeconds: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
      expiresAtMs: fc.integer({ min: now - 1, max: now + 100_000 }),
      state: fc.constantFrom('active', 'active', 'active', 'revoked'),
    });
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 4 }), (changes) => {
        const edges = path(changes.length).map((base, at) => ({ ...base, ...changes[at] }));
        const verdict = checkPath(edges, now);
        if (verdict.kind !== 'valid') return;
        for (const [at, { scopes, resources, expiresAtMs, ttlSeconds, maxHops, state }] of edges.entries()) {
          expect(state).toBe('active');
          expect(isSubset(verdict.scopes, scopes)).toBe(true);
          if (resources.length > 0) expect(isSubset(verdict.resources, resources)).toBe(true);
          if (resources.length > 0) expect(verdict.resources.length).toBeGreaterThan(0);
          expect(verdict.expiresAtMs).toBeLessThanOrEqual(expiresAtMs);
          if (ttlSeconds !== undefined) expect(verdict.expiresAtMs).toBeLessThanOrEqual(now + ttlSeconds * 1000);
          expect(edges.length - at).toBeLessThanOrEqual(maxHops);
        }
        expect(verdict.expiresAtMs).toBeGreaterThan(now);
      }),
      { numRuns: 3000 },
    );
  });

  test('that is extended never carries more than before', () => {
    const names = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(names, { minLength: 2, maxLength: 6 }), (scopes) => {
        const edges = path(scopes.length).map((base, at) => ({ ...base, scopes: scopes[at]! }));
        const longer = checkPath(edges, now);
        if (longer.kind !== 'valid') return;
        const shorter = checkPath(edges.slice(0, -1), now);
        expect(shorter.kind).toBe('valid');
        if (shorter.kind === 'valid') expect(isSubset(longer.scopes, shorter.scopes)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
