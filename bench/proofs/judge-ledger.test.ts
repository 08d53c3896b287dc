import { describe, expect, it } from 'vitest';
import { judgeLedger, type Observations } from './judge-ledger.ts';
import type { LedgerEvent } from './ledger.ts';
import type { Sent } from './traffic.ts';

const call = (fields: Partial<Sent> = {}): Sent => ({
  requestId: 'r',
  kind: 'read',
  sentAtMs: 0,
  doneAtMs: 1,
  status: 200,
  reason: 'served',
  isAfterBarrier: false,
  ...fields,
});
const event = (type: string, decision = '', metadata: Record<string, unknown> = {}): LedgerEvent => ({
  id: type,
  type,
  requestId: 'r',
  decision,
  metadata,
});
const allow = event('gateway.decision', 'allow');
const deny = event('gateway.decision', 'deny');
const outcome = event('gateway.outcome');

const judge = (sent: Sent, ledger: readonly LedgerEvent[], more: Partial<Observations> = {}) =>
  judgeLedger({
    sent: [sent],
    upstream: new Map(sent.status === 200 ? [['r', 1]] : []),
    ledger,
    startedSessions: [],
    endedSessions: [],
    ...more,
  });
const verdict = (...given: Parameters<typeof judge>) => {
  const { missing, wrong, lostOutcomes } = judge(...given);
  return [missing.length, wrong.length, lostOutcomes.length];
};
const flawless = [0, 0, 0];

describe('the judge of a ledger', () => {
  it('is content with one decision of each kind and one outcome', () => {
    expect(verdict(call(), [allow, outcome])).toEqual(flawless);
    expect(verdict(call({ status: 403, reason: 'insufficient_scope' }), [deny])).toEqual(flawless);
    expect(verdict(call({ status: 0, reason: 'failed' }), [])).toEqual(flawless);
  });

  it('misses the decision of what was released, though the client never heard of it', () => {
    expect(verdict(call(), [outcome])).toEqual([1, 0, 0]);
    const unheard = call({ status: 0, reason: 'failed' });
    expect(verdict(unheard, [], { upstream: new Map([['r', 1]]) })).toEqual([1, 0, 1]);
  });

  it('misses the denial of what was refused by decision', () => {
    expect(verdict(call({ status: 401, reason: 'token_replayed' }), [])).toEqual([1, 0, 0]);
  });

  it('finds what stands twice, and takes a decision on an open answer for what it is', () => {
    expect(verdict(call(), [allow, allow, outcome])).toEqual([0, 1, 0]);
    const again = event('gateway.decision', 'allow', { decided_again: true });
    expect(verdict(call(), [allow, again, outcome])).toEqual(flawless);
  });

  it('finds what got through: revoked, undeclared, used before, or twice', () => {
    expect(verdict(call({ isAfterBarrier: true }), [allow, outcome])).toEqual([0, 1, 0]);
    expect(verdict(call({ kind: 'undeclared' }), [allow, outcome])).toEqual([0, 1, 0]);
    expect(verdict(call({ kind: 'replay' }), [allow, outcome])).toEqual([0, 1, 0]);
    expect(verdict(call(), [allow, outcome], { upstream: new Map([['r', 2]]) })).toEqual([0, 1, 0]);
  });

  it('forgives an allow beside a refusal only where the answer was lost or kept back', () => {
    expect(verdict(call({ status: 503, reason: 'sts_unavailable' }), [allow, deny])).toEqual(flawless);
    expect(verdict(call({ status: 401, reason: 'token_revoked', kind: 'session' }), [allow, outcome])).toEqual(
      flawless,
    );
    expect(verdict(call({ status: 403, reason: 'access_denied' }), [allow, deny])).toEqual([0, 1, 0]);
  });

  it('counts each start and end of a session once', () => {
    const started = event('session.started', '', { agent_session_id: 's' });
    const told = { startedSessions: ['s'], endedSessions: [] };
    expect(verdict(call(), [allow, outcome, started], told)).toEqual(flawless);
    expect(verdict(call(), [allow, outcome], told)).toEqual([1, 0, 0]);
    expect(verdict(call(), [allow, outcome, started, started], told)).toEqual([0, 1, 0]);
  });
});
