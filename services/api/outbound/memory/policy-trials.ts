// Trials and recorded decisions in memory, for tests of flows: a candidate decides by what its first policy's text says, and
// the ledger holds a few decisions on inputs of known names.
import { sha256Hex } from '#mesh/canonical';
import type { RecordedDecision } from '../../domain/replay-summary.ts';
import type { PolicyTrials, RecordedDecisions, TrialCandidate, TrialDecision } from '../../ports/policy-trials.ts';

/** A candidate with this text cannot be loaded; one that names a decision decides it. */
const refusedWord = 'BROKEN';

const problem = { policyVersionId: 'candidate-1', line: 2, column: 3, code: 'rego_parse_error', message: 'unexpected' };

function decisionOf({ policies }: TrialCandidate): TrialDecision {
  const text = policies[0]?.content ?? '';
  const decision = (['ALLOW', 'HOLD'] as const).find((word) => text.includes(word)) ?? 'DENY';
  const named = { ALLOW: 'allow', HOLD: 'hold', DENY: 'deny' } as const;
  return {
    decision: named[decision],
    evaluationStatus: 'complete',
    determiningPolicies: [policies[0]?.name ?? ''],
  };
}

function isRefused({ policies }: TrialCandidate): boolean {
  return policies.some(({ content }) => content.includes(refusedWord));
}

export const memoryTrials: PolicyTrials = {
  simulate: async (candidate, inputJson) =>
    isRefused(candidate)
      ? { kind: 'refused', problems: [problem] }
      : {
          kind: 'decided',
          ...decisionOf(candidate),
          diagnostics: [{ reason: 'tried', password: 'canary' }],
          inputDigest: sha256Hex(inputJson),
        },
  async *replay(candidate, batches) {
    yield { kind: 'checked', problems: isRefused(candidate) ? [problem] : [] };
    if (isRefused(candidate)) return;
    const known = new Set<string>();
    for await (const batch of batches) {
      const before = known.size;
      for (const { inputDigest } of batch) known.add(inputDigest);
      yield { kind: 'answered', answers: batch.map(() => decisionOf(candidate)), evaluated: known.size - before };
    }
  },
};

/** Recorded in this order; the last without its input. */
const recordedEvents: readonly RecordedDecision[] = (['allow', 'allow', 'deny', 'hold'] as const).map(
  (decision, at) => ({
    eventId: `event-${at + 1}`,
    decision,
    evaluationStatus: 'complete',
    inputDigest: sha256Hex(`{"n":${at % 2}}`),
    policyDigest: 'd'.repeat(64),
    applicationId: 'app-1',
    resource: 'resource://calendar',
    scopes: ['calendar:read'],
  }),
);

export const memoryRecorded: RecordedDecisions = {
  async *read({ eventId, limit }) {
    if (eventId === 'event-without-input') {
      yield { decisions: [], inputs: [], withoutInput: 1, cut: false };
      return;
    }
    const wanted = recordedEvents.filter((event) => eventId === undefined || event.eventId === eventId);
    const decisions = wanted.slice(0, limit);
    const texts = new Map(decisions.map(({ inputDigest }) => [inputDigest, '']));
    for (const text of ['{"n":0}', '{"n":1}']) if (texts.has(sha256Hex(text))) texts.set(sha256Hex(text), text);
    const inputs = [...texts].map(([inputDigest, inputJson]) => ({ inputDigest, inputJson }));
    yield { decisions, inputs, withoutInput: eventId === undefined ? 1 : 0, cut: wanted.length > limit };
  },
};
