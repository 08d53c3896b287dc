import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '#mesh/failure';
import { combine } from './decision.ts';
import { asksNoMore, challengeTypes, holdTtlSeconds, readHoldRule, strictest } from './hold-rule.ts';
import type { HoldRule } from './hold-rule.ts';

const names = ['alice', 'bob', 'carol', 'dave'];
const anyRule: fc.Arbitrary<HoldRule> = fc.record({
  type: fc.constantFrom(...challengeTypes),
  approvers: fc.option(fc.subarray(names, { minLength: 1 }), { nil: undefined }),
  ttlSeconds: fc.integer({ min: 1, max: holdTtlSeconds }),
});
const someRules = fc.tuple(anyRule, anyRule, anyRule);

const allow = (...diagnostics: readonly JsonValue[]): JsonValue => ({
  decision: 'allow',
  evaluation_status: 'complete',
  determining_policies: [],
  diagnostics: [...diagnostics],
});

describe('the rule of a hold', () => {
  it.each([
    ['mfa', { type: 'mfa', approvers: undefined, ttlSeconds: 300 }],
    [{ type: 'human_approval' }, { type: 'human_approval', approvers: undefined, ttlSeconds: 300 }],
    [
      { type: 'human_approval', ttl_seconds: 60 },
      { type: 'human_approval', approvers: undefined, ttlSeconds: 60 },
    ],
    [
      { type: 'mfa', ttl_seconds: 86_400 },
      { type: 'mfa', approvers: undefined, ttlSeconds: 300 },
    ],
    [
      { type: 'mfa', approvers: ['b', 'a', 'b'] },
      { type: 'mfa', approvers: ['a', 'b'], ttlSeconds: 300 },
    ],
  ])('is read from %j', (stated, rule) => {
    expect(readHoldRule(stated)).toEqual(rule);
  });

  it.each([
    [null],
    [false],
    [true],
    [1],
    [''],
    ['MFA'],
    ['coffee'],
    [[]],
    [['mfa']],
    [{}],
    [{ type: 'coffee' }],
    [{ type: 'mfa', approvers: [] }],
    [{ type: 'mfa', approvers: 'alice' }],
    [{ type: 'mfa', approvers: ['alice', 1] }],
    [{ type: 'mfa', approvers: ['alice', ''] }],
    [{ type: 'mfa', approvers: ['alice', 'b\0'] }],
    [{ type: 'mfa', ttl_seconds: 0 }],
    [{ type: 'mfa', ttl_seconds: 1.5 }],
    [{ type: 'mfa', ttl_seconds: '60' }],
    [{ type: 'mfa', aprovers: ['alice'] }],
  ])('is malformed, and denies, when it says %j', (stated) => {
    expect(readHoldRule(stated)).toBeUndefined();
    const decision = combine(['p'], { 0: allow({ step_up_required: stated }) });
    expect(decision).toMatchObject({ kind: 'deny', status: 'malformed' });
  });

  it('reads anything without throwing, and only into a rule that can be met', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const rule = readHoldRule(value as JsonValue);
        if (rule === undefined) return;
        expect(challengeTypes).toContain(rule.type);
        expect(rule.ttlSeconds).toBeGreaterThan(0);
        expect(rule.approvers?.length ?? 1).toBeGreaterThan(0);
      }),
    );
  });
});

describe('rules that meet', () => {
  it('become one that asks for everything each of them asks for', () => {
    fc.assert(
      fc.property(someRules, (rules) => {
        const merged = strictest(rules);
        if (merged === 'no_approver_left') {
          expect(names.some((name) => rules.every(({ approvers }) => approvers?.includes(name) ?? true))).toBe(false);
          return;
        }
        for (const rule of rules) {
          expect(asksNoMore(rule, merged)).toBe(true);
          expect(merged.ttlSeconds).toBeLessThanOrEqual(rule.ttlSeconds);
          if (rule.approvers) expect(merged.approvers?.every((name) => rule.approvers?.includes(name))).toBe(true);
        }
      }),
    );
  });

  it('ask for nothing that none of them asks for, in whatever order they come', () => {
    fc.assert(
      fc.property(someRules, ([a, b, c]) => {
        const merged = strictest([a, b, c]);
        expect(strictest([c, a, b])).toEqual(merged);
        expect(strictest([a, a, b, c, c])).toEqual(merged);
        if (merged === 'no_approver_left') return;
        expect([a, b, c].map(({ type }) => type)).toContain(merged.type);
        expect([a, b, c].map(({ ttlSeconds }) => ttlSeconds)).toContain(merged.ttlSeconds);
        if ([a, b, c].every(({ approvers }) => approvers === undefined)) expect(merged.approvers).toBeUndefined();
      }),
    );
  });

  it('are merged over all notes of all policies, and denied when they leave nobody', () => {
    const answers = {
      0: allow({ step_up_required: 'mfa' }, { step_up_required: { type: 'mfa', ttl_seconds: 30 } }),
      1: allow({ step_up_required: { type: 'human_approval', approvers: ['alice', 'bob'] } }),
      2: allow(),
    };
    expect(combine(['p', 'q', 'r'], answers)).toMatchObject({
      kind: 'hold',
      hold: { type: 'human_approval', approvers: ['alice', 'bob'], ttlSeconds: 30 },
    });
    const others = { ...answers, 2: allow({ step_up_required: { type: 'mfa', approvers: ['carol'] } }) };
    expect(combine(['p', 'q', 'r'], others)).toMatchObject({
      kind: 'deny',
      status: 'complete',
      diagnostics: expect.arrayContaining([{ reason: 'no_approver_left' }]),
    });
  });
});
