import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { knownId, type ZoneId } from '#mesh/ids';
import type { CandidateAnswer, DecisionKind, RecordedDecision } from '../../domain/replay-summary.ts';
import { ReplayTally } from '../../domain/replay-summary.ts';
import { createMemoryApi } from '../../outbound/memory/api-deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { createPolicySet } from '../policy-sets/create.ts';
import { createZone } from '../zones/create.ts';
import { bindPolicyTrials } from './bind.ts';
import type { ReplayProgress, ReplayWish } from './replay.ts';

async function world() {
  const { deps } = createMemoryApi();
  const admin = { tokenId: 't', name: 'root', zoneId: undefined, capability: 'all' } as const;
  const facts = { requestId: 'r', traceId: undefined, traceparent: undefined };
  const zone = await createZone(deps, { admin, facts, idempotency: undefined }, { name: 'Zone' });
  const zoneId = knownId<ZoneId>(zone.entity.id);
  const call: ZoneCall = { admin, facts, idempotency: undefined, zoneId };
  const set = await createPolicySet(deps, call, { name: 'Set' });
  return { call, trials: bindPolicyTrials(deps), policySetId: set.entity.id };
}

const candidate = (content: string) => ({ policies: [{ name: 'p', content }] });

async function replayed(content: string, wish: Partial<ReplayWish> = {}): Promise<readonly ReplayProgress[]> {
  const { call, trials, policySetId } = await world();
  const range = { sinceMs: undefined, untilMs: undefined, limit: 100, signal: new AbortController().signal };
  return Array.fromAsync(trials.replay(call, { policySetId, ...candidate(content), ...range, ...wish }));
}

describe('a simulation', () => {
  it('decides a given input, and shows no credential that a policy quotes', async () => {
    const { call, trials, policySetId } = await world();
    const result = await trials.simulate(call, { policySetId, ...candidate('ALLOW'), input: { n: 1 } });
    expect(result).toMatchObject({ wouldActivate: true, decision: 'allow', determiningPolicies: ['p'] });
    expect(result.diagnostics).toEqual([{ reason: 'tried', password: '[redacted]' }]);
  });

  it('takes the input of a recorded decision, and says how it went then', async () => {
    const { call, trials, policySetId } = await world();
    const result = await trials.simulate(call, { policySetId, ...candidate('DENY'), eventId: 'event-2' });
    expect(result).toMatchObject({ decision: 'deny', recorded: { eventId: 'event-2', decision: 'allow' } });
  });

  it('names what keeps a candidate from being activated, with its place', async () => {
    const { call, trials, policySetId } = await world();
    const result = await trials.simulate(call, { policySetId, ...candidate('BROKEN'), input: {} });
    expect(result).toEqual({ wouldActivate: false, problems: [expect.objectContaining({ line: 2, column: 3 })] });
  });

  it.each([
    ['neither input nor event', {}, 'invalid_request'],
    ['both', { input: {}, eventId: 'event-1' }, 'invalid_request'],
    ['an event that is none', { eventId: 'nothing' }, 'not_found'],
    ['an event without input', { eventId: 'event-without-input' }, 'conflict'],
  ])('refuses %s', async (_case, about, reason) => {
    const { call, trials, policySetId } = await world();
    const wish = { policySetId, ...candidate('ALLOW'), ...about };
    await expect(trials.simulate(call, wish)).rejects.toMatchObject({ reason });
  });

  it('is about a stored version or about policies, never both or neither', async () => {
    const { call, trials, policySetId } = await world();
    const refused = { reason: 'invalid_request' };
    await expect(trials.simulate(call, { policySetId, input: {} })).rejects.toMatchObject(refused);
    const both = { policySetId, versionId: 'v', ...candidate('ALLOW'), input: {} };
    await expect(trials.simulate(call, both)).rejects.toMatchObject(refused);
    await expect(trials.simulate(call, { policySetId, versionId: 'v', input: {} })).rejects.toMatchObject({
      reason: 'not_found',
    });
  });
});

describe('a replay', () => {
  it('counts the flips by direction and groups them by application, resource and scopes', async () => {
    const steps = await replayed('DENY');
    expect(steps.map(({ done }) => done)).toEqual([false, true]);
    expect(steps.at(-1)?.summary).toMatchObject({
      decisions: 4,
      evaluated: 2,
      unchanged: 1,
      flipped: 3,
      withoutInput: 1,
      cut: false,
      transitions: { allow_to_deny: 2, hold_to_deny: 1 },
      groups: [
        { from: 'allow', to: 'deny', count: 2, sampleEventIds: ['event-1', 'event-2'], scopes: ['calendar:read'] },
        { from: 'hold', to: 'deny', count: 1 },
      ],
    });
  });

  it('says that its limit cut the range', async () => {
    const summary = (await replayed('ALLOW', { limit: 2 })).at(-1)?.summary;
    expect(summary).toMatchObject({ decisions: 2, flipped: 0, cut: true });
  });

  it('refuses a candidate that cannot be activated, and a range that ends before it begins', async () => {
    await expect(replayed('BROKEN')).rejects.toMatchObject({ reason: 'policy_invalid' });
    await expect(replayed('ALLOW', { sinceMs: 2, untilMs: 1 })).rejects.toMatchObject({ reason: 'invalid_request' });
  });
});

describe('the summary of a replay', () => {
  const kind = fc.constantFrom<DecisionKind>('allow', 'hold', 'deny');
  const status = fc.constantFrom('complete', 'timeout', 'undefined');
  const about = fc.record({ applicationId: fc.constantFrom('a', 'b'), resource: fc.constantFrom('x', 'y') });
  const pair = fc.record({ from: kind, to: kind, fromStatus: status, toStatus: status, about });

  it('adds up, whatever was recorded and answered', () => {
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 60 }), (pairs) => {
        const tally = new ReplayTally();
        for (const [at, { from, to, fromStatus, toStatus, about: who }] of pairs.entries()) {
          const recorded: RecordedDecision = {
            ...{ ...who, eventId: `e${at}`, decision: from, evaluationStatus: fromStatus, scopes: [] },
            ...{ inputDigest: '', policyDigest: '' },
          };
          const answer: CandidateAnswer = { decision: to, evaluationStatus: toStatus, determiningPolicies: [] };
          tally.add(recorded, answer);
        }
        const summary = tally.summary();
        const sum = (values: readonly number[]): number => values.reduce((left, right) => left + right, 0);
        const compared = pairs.filter(({ fromStatus }) => fromStatus !== 'timeout');
        expect(summary.decisions).toBe(pairs.length);
        expect(summary.recordedWithoutAnswer).toBe(pairs.length - compared.length);
        expect(summary.flipped).toBe(compared.filter(({ from, to }) => from !== to).length);
        expect(summary.unchanged + summary.flipped + summary.recordedWithoutAnswer).toBe(summary.decisions);
        expect(sum(Object.values(summary.transitions))).toBe(summary.flipped);
        expect(sum(summary.groups.map(({ count }) => count)) + summary.flipsNotListed).toBe(summary.flipped);
      }),
    );
  });

  it('stays small when everything flips in a group of its own', () => {
    const tally = new ReplayTally();
    const answer: CandidateAnswer = { decision: 'deny', evaluationStatus: 'complete', determiningPolicies: ['p'] };
    for (let n = 0; n < 12_000; n += 1) {
      const recorded = {
        eventId: `e${n}`,
        decision: 'allow',
        evaluationStatus: 'complete',
        resource: `r${n}`,
      } as const;
      tally.add({ ...recorded, inputDigest: '', policyDigest: '', applicationId: 'a', scopes: [] }, answer);
    }
    const { groups, flipped, flipsNotListed } = tally.summary();
    expect([groups.length, flipped, flipsNotListed]).toEqual([200, 12_000, 11_800]);
  });
});
