import type { AuditEventDraft } from '#mesh/trail';
import { describe, expect, it } from 'vitest';
import type { Decision } from '../domain/decision.ts';
import type { PolicySetVersion } from '../domain/policy-set.ts';
import type { Evaluation } from '../ports/policy-engine.ts';
import type { SeenDecision } from '../ports/shadow-watch.ts';
import { createShadowWatch } from './watch-shadow.ts';
import type { ShadowOutcome } from './watch-shadow.ts';

const shadow: PolicySetVersion = {
  ...{ zoneId: 'zone', policySetId: 'set', versionId: 'shadow-version', digest: 's'.repeat(64), params: {} },
  policies: [{ policyVersionId: 'p', name: 'careful', content: '' }],
};

const says = (decision: string): Evaluation => ({
  kind: 'answered',
  remembered: false,
  results: { 0: { decision, evaluation_status: 'complete', determining_policies: [], diagnostics: [{ reason: 'r' }] } },
});

const allowed: Decision = { kind: 'allow', status: 'complete', determining: ['p'], diagnostics: [] };

function seen(about: Partial<SeenDecision> = {}): SeenDecision {
  return {
    ...{ zoneId: 'zone', applicationId: 'app', resource: 'resource://calendar', scopes: ['calendar:read'] },
    ...{ requestId: 'request', traceId: undefined, decision: allowed, versionId: 'active-version', policySetId: 'set' },
    ...{ digest: 'a'.repeat(64), inputJson: '{}', inputDigest: 'd'.repeat(64) },
    ...about,
  };
}

/** Evaluations wait until they are let. */
function watched(answer: () => Evaluation | Promise<Evaluation>, watches = true) {
  const recorded: AuditEventDraft[] = [];
  const outcomes: ShadowOutcome[] = [];
  const clock = { at: 0, monotonic: () => clock.at };
  let evaluations = 0;
  const watch = createShadowWatch({
    directory: { shadowPolicySet: async () => (watches ? shadow : undefined) },
    policyEngine: {
      evaluate: async () => {
        evaluations += 1;
        return answer();
      },
    },
    record: (draft) => recorded.push(draft),
    clock,
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2000; turn += 1) await Promise.resolve();
  };
  return { watch, recorded, outcomes, clock, settle, evaluations: () => evaluations };
}

describe('a watched version', () => {
  it('leaves a record where it would have decided otherwise, and none where it would not', async () => {
    const { watch, recorded, outcomes, settle } = watched(() => says('deny'));
    watch.note(seen());
    watch.note(seen({ decision: { ...allowed, kind: 'deny' } }));
    await settle();
    expect(outcomes.toSorted()).toEqual(['differs', 'same']);
    expect(recorded).toHaveLength(1);
    expect(recorded[0]).toMatchObject({
      zoneId: 'zone',
      eventType: 'policy.shadow_difference',
      policySetVersionId: 'active-version',
      metadata: { enforced: 'allow', shadow: 'deny', shadow_version_id: 'shadow-version', resource: seen().resource },
    });
    // It decides nothing: readers of decisions must not take it for one.
    expect(recorded[0]?.decision).toBeUndefined();
  });

  it('costs nothing where nothing is watched', async () => {
    const { watch, outcomes, settle, evaluations } = watched(() => says('deny'), false);
    for (let n = 0; n < 1000; n += 1) watch.note(seen());
    await settle();
    expect([outcomes.length, evaluations()]).toEqual([0, 0]);
  });

  it('is not compared with an outage of policy', async () => {
    const { watch, outcomes, settle } = watched(() => says('allow'));
    watch.note(seen({ decision: { ...allowed, kind: 'deny', status: 'policy_unavailable' } }));
    await settle();
    expect(outcomes).toEqual([]);
  });

  it('takes two places at most however many decisions there are, and lets the rest go', async () => {
    let waiting = 0;
    const { watch, outcomes, settle, evaluations } = watched(async () => {
      waiting += 1;
      return new Promise<Evaluation>(() => undefined);
    });
    for (let n = 0; n < 1000; n += 1) watch.note(seen());
    await settle();
    expect([waiting, evaluations()]).toEqual([2, 2]);
    expect(outcomes.filter((outcome) => outcome === 'skipped')).toHaveLength(1000 - 2 - 256);
  });

  it('rests when it only fails, and is looked at again afterwards', async () => {
    const { watch, outcomes, clock, settle, evaluations } = watched(() => ({ kind: 'failed', status: 'timeout' }));
    for (let n = 0; n < 100; n += 1) watch.note(seen());
    await settle();
    expect(evaluations()).toBeLessThan(10);
    const before = evaluations();
    watch.note(seen());
    await settle();
    expect(evaluations()).toBe(before);
    expect(outcomes.at(-1)).toBe('skipped');
    clock.at += 30_001;
    watch.note(seen());
    await settle();
    expect(evaluations()).toBe(before + 1);
  });

  it('never throws, whatever breaks', async () => {
    const { watch, outcomes, settle } = watched(() => {
      throw new Error('broken');
    });
    expect(() => watch.note(seen())).not.toThrow();
    await settle();
    expect(outcomes).toEqual(['failed']);
  });

  it('does not fill the ledger when it always differs, and says how much it left out', async () => {
    const { watch, recorded, clock, settle } = watched(() => says('deny'));
    for (let n = 0; n < 100; n += 1) watch.note(seen());
    await settle();
    expect(recorded).toHaveLength(20);
    clock.at += 1000;
    watch.note(seen());
    await settle();
    expect(recorded.at(-1)?.metadata).toMatchObject({ suppressed: 80 });
  });

  it('of one zone does not keep another zone’s from being looked at', async () => {
    const { watch, settle, evaluations } = watched(async () => new Promise<Evaluation>(() => undefined));
    for (let n = 0; n < 100; n += 1) watch.note(seen());
    watch.note(seen({ zoneId: 'other' }));
    await settle();
    expect(evaluations()).toBe(3);
  });
});
