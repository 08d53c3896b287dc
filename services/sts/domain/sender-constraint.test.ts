import fc from 'fast-check';
import { isProven } from '#mesh/authority';
import { describe, expect, it } from 'vitest';
import { bindingOf, jointConfirmation, sessionBindingOf } from './sender-constraint.ts';

const thumbprint = fc.constantFrom('a'.repeat(43), 'b'.repeat(43));
const policy = fc.constantFrom('off', 'allowed', 'required', 'something else');
const proven = fc.record({ jkt: thumbprint, x5tS256: thumbprint }, { requiredKeys: [] });
const confirmation = fc.oneof(
  fc.constant(undefined),
  thumbprint.map((jkt) => ({ jkt })),
  thumbprint.map((x5t) => ({ 'x5t#S256': x5t })),
  fc.tuple(thumbprint, thumbprint).map(([jkt, x5t]) => ({ jkt, 'x5t#S256': x5t })),
);

describe('a new mandate', () => {
  it('is bound as its subject was, and only for who proves every key of it', () => {
    fc.assert(
      fc.property(policy, confirmation, proven, (senderConstraint, subjectConfirmation, shown) => {
        fc.pre(subjectConfirmation !== undefined);
        const verdict = bindingOf({ senderConstraint, subjectConfirmation, proven: shown });
        if (isProven(subjectConfirmation, shown)) {
          expect(verdict).toEqual({ kind: 'decided', confirmation: subjectConfirmation });
        } else {
          expect(verdict).toEqual({ kind: 'subject_unproven' });
        }
      }),
    );
  });

  it('is bound to nothing that was not proven, and never a bearer where a binding is required', () => {
    fc.assert(
      fc.property(policy, proven, (senderConstraint, shown) => {
        const verdict = bindingOf({ senderConstraint, subjectConfirmation: undefined, proven: shown });
        if (verdict.kind === 'decided') {
          expect(isProven(verdict.confirmation, shown)).toBe(true);
          if (verdict.confirmation === undefined) expect(['off', 'allowed']).toContain(senderConstraint);
        } else {
          expect(verdict.kind).toBe('proof_required');
          expect(shown).toEqual({});
        }
      }),
    );
  });

  it.each([
    ['off', { jkt: 'a' }, undefined],
    ['allowed', {}, undefined],
    ['allowed', { jkt: 'a' }, { jkt: 'a' }],
    ['allowed', { x5tS256: 'c' }, { 'x5t#S256': 'c' }],
    ['required', { jkt: 'a', x5tS256: 'c' }, { jkt: 'a' }],
  ])('of an application with %s, proving %j, has cnf %j', (senderConstraint, shown, expected) => {
    expect(bindingOf({ senderConstraint, subjectConfirmation: undefined, proven: shown })).toEqual({
      kind: 'decided',
      confirmation: expected,
    });
  });
});

describe('a mandate from two', () => {
  it('is bound to every key of both, and to none only when neither is bound', () => {
    fc.assert(
      fc.property(proven, proven, (subject, actor) => {
        const cnf = ({ jkt, x5tS256 }: typeof subject) =>
          jointConfirmation(
            jkt === undefined ? undefined : { jkt },
            x5tS256 === undefined ? undefined : { 'x5t#S256': x5tS256 },
          );
        const joint = jointConfirmation(cnf(actor), cnf(subject));
        expect(joint === undefined).toBe(cnf(actor) === undefined && cnf(subject) === undefined);
        const shown = { ...actor, ...subject };
        expect(isProven(joint, shown)).toBe(true);
        for (const key of Object.keys(shown)) {
          const { [key as 'jkt']: _missing, ...rest } = shown;
          expect(isProven(joint, rest)).toBe(false);
        }
      }),
    );
  });
});

describe('a session’s mandate', () => {
  it('is bound to the child’s key where it is named, else as its caller’s; a bound chain never ends in a bearer', () => {
    fc.assert(
      fc.property(
        policy,
        confirmation,
        fc.option(thumbprint, { nil: undefined }),
        (senderConstraint, caller, childJkt) => {
          const verdict = sessionBindingOf({ senderConstraint, callerConfirmation: caller, childJkt });
          if (verdict.kind === 'proof_required') {
            expect([caller, childJkt]).toEqual([undefined, undefined]);
            return;
          }
          expect(verdict.confirmation).toEqual(childJkt === undefined ? caller : { jkt: childJkt });
          if (caller !== undefined || senderConstraint === 'required') expect(verdict.confirmation).toBeDefined();
        },
      ),
    );
  });
});
