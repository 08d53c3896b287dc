import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '#mesh/failure';
import { combine } from './decision.ts';

const answer = (decision: string, more: object = {}): JsonValue => ({
  decision,
  evaluation_status: 'complete',
  determining_policies: [decision],
  diagnostics: [],
  ...more,
});
const held = answer('allow', { diagnostics: [{ step_up_required: 'mfa' }] });
const decide = (...answers: readonly (JsonValue | undefined)[]): ReturnType<typeof combine> =>
  combine(
    answers.map((_, index) => `p${index}`),
    Object.fromEntries(answers.flatMap((value, index) => (value === undefined ? [] : [[String(index), value]]))),
  );

describe('combining policies', () => {
  it('lets a deny win over a hold, a hold over an allow, and needs at least one allow', () => {
    expect(decide(answer('allow'), held, answer('deny')).kind).toBe('deny');
    expect(decide(answer('allow'), held).kind).toBe('hold');
    expect(decide(answer('abstain'), answer('allow')).kind).toBe('allow');
    expect(decide(answer('abstain'))).toMatchObject({ kind: 'deny', status: 'complete' });
    expect(decide()).toMatchObject({ kind: 'deny' });
  });

  it('denies with its own status for what is no whole answer', () => {
    expect(decide(answer('allow'), undefined)).toMatchObject({ kind: 'deny', status: 'undefined' });
    expect(decide(answer('allow', { evaluation_status: 'partial' }))).toMatchObject({
      kind: 'deny',
      status: 'incomplete',
    });
    for (const odd of [null, 'allow', true, [], {}, answer('Allow'), answer('allow', { diagnostics: [1] })]) {
      expect(decide(odd)).toMatchObject({ kind: 'deny', status: 'malformed' });
    }
  });

  it('allows nothing but a well-formed allow, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.jsonValue(), fc.constant(answer('abstain'))), { maxLength: 5 }), (values) => {
        expect(decide(...(values as JsonValue[])).kind).toBe('deny');
      }),
    );
  });

  it('sees a hold and a malformed note wherever they stand', () => {
    const many = Array.from({ length: 100 }, (_, index) => ({ reason: `note ${index}` }));
    expect(decide(answer('allow', { diagnostics: [...many, { step_up_required: 'mfa' }] })).kind).toBe('hold');
    expect(decide(answer('allow', { diagnostics: [...many, 1] }))).toMatchObject({ status: 'malformed' });
  });

  it('keeps few notes and none that is large, so that every decision fits into its event', () => {
    const notes = Array.from({ length: 100 }, (_, index) => ({ reason: 'x'.repeat(index * 100) }));
    const decision = decide(answer('deny', { diagnostics: notes, determining_policies: ['y'.repeat(100_000)] }));
    expect(decision.diagnostics).toHaveLength(32);
    expect(JSON.stringify(decision).length).toBeLessThan(70_000);
    expect(decision.diagnostics.at(-1)).toEqual({ omitted: 'larger than a note may be' });
  });

  it('keeps no note deeper than the ledger reads, or its event would never be stored', () => {
    const nested = (depth: number): JsonValue => (depth === 0 ? 'x' : { deeper: nested(depth - 1) });
    const [shallow, deep] = decide(answer('allow', { diagnostics: [nested(8), nested(9)] })).diagnostics;
    expect(shallow).toEqual(nested(8));
    expect(deep).toEqual({ omitted: 'larger than a note may be' });
  });

  it('takes policy names and reasons as text or objects, and names all who decided', () => {
    const decision = decide(
      answer('deny', { determining_policies: ['deny', { policy: 'hours' }], diagnostics: ['too late'] }),
      answer('deny', { determining_policies: [], diagnostics: { reason: 'closed' } }),
      answer('allow'),
    );
    expect(decision.determining).toEqual(['p0/deny', 'p0/hours', 'p1']);
    expect(decision.diagnostics).toEqual([{ reason: 'too late' }, { reason: 'closed' }]);
  });
});
