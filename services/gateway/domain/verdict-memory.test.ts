// When an answer may be given again: only while nothing it rests on has moved.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VerdictMemory, verdictKey, type DecidedOn, type VerdictKey } from './verdict-memory.ts';

const key: VerdictKey = {
  mandateDigest: 'd',
  zoneId: 'z',
  resourceId: 'r',
  resourceVersion: 3,
  method: 'GET',
  policyPath: '/x',
};
const on: DecidedOn = { policySetVersionId: 'v1', delegationEpoch: 7, resourceVersion: 3 };
const memory = (maxVerdicts = 10, maxZones = 10) => new VerdictMemory<string>({ maxVerdicts, maxZones });

function keep(kept: VerdictMemory<string>, of = key, more: Partial<DecidedOn & { generation: number }> = {}): boolean {
  return kept.keep(of, 'allow', { ...on, validUntilMs: 1000, generation: kept.generation(of.zoneId), ...more });
}

describe('verdict memory', () => {
  test('gives an answer again until its time, and not at it', () => {
    const kept = memory();
    expect(keep(kept)).toBe(true);
    expect(kept.recall(verdictKey(key), 999)).toBe('allow');
    expect(kept.recall(verdictKey(key), 1000)).toBeUndefined();
    expect(kept.recall(verdictKey(key), 0)).toBeUndefined();
  });

  test('holds nothing that may not be given again, once it was swept', () => {
    const kept = memory();
    keep(kept);
    keep(kept, { ...key, zoneId: 'y' });
    kept.sweep(999);
    expect(kept.size).toBe(2);
    kept.resourcesChanged('y');
    kept.sweep(999);
    expect(kept.size).toBe(1);
    kept.sweep(1000);
    expect(kept.size).toBe(0);
  });

  test('knows an answer by another policy than the one it heard of last', () => {
    const kept = memory();
    expect(kept.isOutdated('z', 'v1')).toBe(false);
    kept.policyChanged('z', 'v2');
    expect([kept.isOutdated('z', 'v1'), kept.isOutdated('z', 'v2'), kept.isOutdated('y', 'v1')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test.each([
    ['mandateDigest', 'other'],
    ['zoneId', 'other'],
    ['resourceId', 'other'],
    ['resourceVersion', 4],
    ['method', 'POST'],
    ['policyPath', '/y'],
  ] as const)('a question with another %s has no answer', (field, value) => {
    const kept = memory();
    keep(kept);
    expect(kept.recall(verdictKey({ ...key, [field]: value }), 0)).toBeUndefined();
  });

  test.each([
    ['policy', (kept: VerdictMemory<string>) => kept.policyChanged('z', 'v1')],
    ['delegations', (kept: VerdictMemory<string>) => kept.delegationsChanged('z', 7)],
    ['resources', (kept: VerdictMemory<string>) => kept.resourcesChanged('z')],
    ['everything', (kept: VerdictMemory<string>) => kept.forgetAll()],
  ] as const)('a change of %s drops what was decided before', (_, change) => {
    const kept = memory();
    keep(kept);
    change(kept);
    expect(kept.recall(verdictKey(key), 0)).toBeUndefined();
  });

  test('a change while the question is under way keeps its answer out', () => {
    const kept = memory();
    const generation = kept.generation('z');
    kept.resourcesChanged('z');
    expect(keep(kept, key, { generation })).toBe(false);
  });

  test('an answer from before what this Gateway has heard of is not kept', () => {
    const kept = memory();
    kept.policyChanged('z', 'v2');
    expect(keep(kept)).toBe(false);
    expect(keep(kept, key, { policySetVersionId: 'v2' })).toBe(true);
    kept.delegationsChanged('z', 8);
    expect(keep(kept, key, { policySetVersionId: 'v2' })).toBe(false);
    expect(keep(kept, key, { policySetVersionId: 'v2', delegationEpoch: 8, resourceVersion: 2 })).toBe(false);
    expect(keep(kept, key, { policySetVersionId: 'v2', delegationEpoch: 9 })).toBe(true);
  });

  test('a change in one zone leaves another alone', () => {
    const kept = memory();
    const other = { ...key, zoneId: 'other' };
    kept.resourcesChanged('other');
    keep(kept, other);
    kept.resourcesChanged('z');
    expect(kept.recall(verdictKey(other), 0)).toBe('allow');
  });

  test('is bounded in verdicts and zones, and never revives a dropped zone’s answers', () => {
    const kept = memory(5, 3);
    for (let n = 0; n < 50; n += 1) keep(kept, { ...key, policyPath: `/${n}` });
    expect(kept.size).toBe(5);
    kept.resourcesChanged('z');
    keep(kept);
    for (let n = 0; n < 10; n += 1) kept.resourcesChanged(`zone-${n}`);
    expect(kept.recall(verdictKey(key), 0)).toBeUndefined();
  });

  test('whatever happens, an answer never outlives a change of its zone', () => {
    const zone = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.tuple(fc.constantFrom('keep', 'policy', 'delegations', 'resources'), zone);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const kept = memory(100, 2);
        const changedSince = new Map<string, boolean>();
        for (const [what, zoneId] of steps) {
          if (what === 'keep') {
            keep(kept, { ...key, zoneId }, { delegationEpoch: 99 });
            changedSince.set(zoneId, false);
            continue;
          }
          if (what === 'policy') kept.policyChanged(zoneId, 'v1');
          if (what === 'delegations') kept.delegationsChanged(zoneId, 1);
          if (what === 'resources') kept.resourcesChanged(zoneId);
          changedSince.set(zoneId, true);
        }
        for (const [zoneId, changed] of changedSince) {
          if (changed) expect(kept.recall(verdictKey({ ...key, zoneId }), 0)).toBeUndefined();
        }
      }),
    );
  });
});
