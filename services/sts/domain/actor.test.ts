import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActorClaim, ActorName, MandateClaims } from '#mesh/mandate';
import { ambientClaims } from '../../../test/support/mandates.ts';
import { actClaim, holderOf, mayAct, mayActOf } from './actor.ts';

const agent = { sub: 'agent', client_id: 'agent' };

describe('may_act', () => {
  it('names an actor by every member it has', () => {
    expect(mayAct({ client_id: 'agent' }, agent)).toBe(true);
    expect(mayAct({ sub: 'agent' }, agent)).toBe(true);
    expect(mayAct({ sub: 'agent', client_id: 'agent' }, agent)).toBe(true);
    expect(mayAct({ sub: 'agent', client_id: 'other' }, agent)).toBe(false);
    expect(mayAct({ client_id: 'other' }, agent)).toBe(false);
  });

  it('allows nobody when it names nobody', () => {
    expect(mayAct({}, agent)).toBe(false);
    expect(mayAct({ any_of: [] }, agent)).toBe(false);
    expect(mayAct({ any_of: [{}] }, agent)).toBe(false);
  });

  it('allows any of several, and keeps to what stands beside them', () => {
    expect(mayAct({ any_of: [{ client_id: 'other' }, { sub: 'agent' }] }, agent)).toBe(true);
    expect(mayAct({ any_of: [{ client_id: 'other' }] }, agent)).toBe(false);
    expect(mayAct({ sub: 'other', any_of: [{ client_id: 'agent' }] }, agent)).toBe(false);
  });

  it('means the registration: exactly those who are registered, whoever they are', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const registered = fc.array(
      fc.oneof(fc.record({ client_id: name }), fc.record({ sub: name }), fc.record({ sub: name, client_id: name })),
      { maxLength: 16 },
    );
    fc.assert(
      fc.property(registered, name, name, (names: readonly ActorName[], subject, client) => {
        const claim = mayActOf(names);
        const actor = { sub: subject, client_id: client };
        const fits = (one: ActorName): boolean =>
          (one.sub ?? subject) === subject && (one.client_id ?? client) === client;
        expect(claim !== undefined && mayAct(claim, actor)).toBe(names.some(fits));
      }),
    );
  });
});

function namesOf(act: ActorClaim | undefined): string[] {
  return act ? [act.sub, ...namesOf(act.act)] : [];
}

describe('act', () => {
  const actor = (more: Partial<MandateClaims> = {}): MandateClaims =>
    ambientClaims({ sub: 'b', client_id: 'b', sid: 's', root_sid: 's', ...more });

  it('has the actor outermost, who acted for it beneath, and beneath that who acted for the subject before', () => {
    const claim = actClaim(actor({ act: { sub: 'c', act: { sub: 'd' } } }), { act: { sub: 'e' } });
    expect(namesOf(claim)).toEqual(['b', 'c', 'd', 'e']);
  });

  it('carries what the actor can be ended by', () => {
    expect(actClaim(actor(), {})).toEqual({ sub: 'b', client_id: 'b', sid: 's' });
    const bound = actor({ root_sid: 'r', agent_session_id: 'session' });
    expect(actClaim(bound, {})).toMatchObject({ sid: 's', root_sid: 'r', agent_session_id: 'session' });
  });

  it('is refused when it is longer than any verifier reads', () => {
    const chain = (length: number): ActorClaim => (length === 1 ? { sub: 'x' } : { sub: 'x', act: chain(length - 1) });
    expect(namesOf(actClaim(actor({ act: chain(9) }), {}))).toHaveLength(10);
    expect(actClaim(actor({ act: chain(9) }), { act: chain(1) })).toBeUndefined();
  });
});

describe('the holder of a mandate', () => {
  it('is its client, or the last application of its chain', () => {
    expect(holderOf({ client_id: 'a' })).toBe('a');
    expect(holderOf({ client_id: 'b', delegation_chain: [{ app: 'r', edge: 'e' }, { app: 'a' }] })).toBe('a');
  });
});
