// Trials of policies over mutual TLS: simulation and replay at the STS.
import { createClient, type Transport } from '@connectrpc/connect';
import { StsService, type ReplayPolicyResponse } from '#gen/caracal/sts/v1/sts_pb';
import { canonicalJson, parseStrictJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { outgoing } from '#mesh/rpc';
import type { DecisionKind } from '../../domain/replay-summary.ts';
import type {
  PolicyTrials,
  ReplayInput,
  ReplayStep,
  TrialCandidate,
  TrialDecision,
} from '../../ports/policy-trials.ts';
import { asPolicyFailure } from './peer-failure.ts';

/** Loading, one evaluation, and taking out again. */
const simulateTimeoutMs = 20_000;
/** What the STS says of one decision at most: 32 notes of 2 KiB, with what JSON adds. */
const maxDiagnosticsBytes = 512 * 1024;
const maxDiagnosticsDepth = 32;

function candidateMessage({ zoneId, policies, params }: TrialCandidate) {
  return {
    zoneId,
    policies: policies.map(({ policyVersionId, name, content }) => ({ policyVersionId, name, content })),
    paramsJson: canonicalJson(params),
  };
}

function kindOf(decision: string): DecisionKind {
  if (decision === 'allow' || decision === 'hold' || decision === 'deny') return decision;
  throw fail('sts_unavailable', { privateDetail: 'an answer of the STS names no decision' });
}

interface DecisionMessage {
  readonly decision: string;
  readonly evaluationStatus: string;
  readonly determiningPolicies: readonly string[];
}

function trialDecision({ decision, evaluationStatus, determiningPolicies }: DecisionMessage): TrialDecision {
  return { decision: kindOf(decision), evaluationStatus, determiningPolicies };
}

function stepOf({ frame }: ReplayPolicyResponse): ReplayStep {
  switch (frame.case) {
    case 'checked':
      return { kind: 'checked', problems: frame.value.problems };
    case 'answers':
      return { kind: 'answered', answers: frame.value.answers.map(trialDecision), evaluated: frame.value.evaluated };
    case undefined:
      throw fail('sts_unavailable', { privateDetail: 'a frame without content' });
  }
}

function notesOf(text: string): readonly JsonObject[] {
  if (text === '') return [];
  const value = parseStrictJson(text, { maxBytes: maxDiagnosticsBytes, maxDepth: maxDiagnosticsDepth });
  return Array.isArray(value) ? (value as readonly JsonObject[]) : [];
}

async function* frames(candidate: TrialCandidate, batches: AsyncIterable<readonly ReplayInput[]>) {
  yield { frame: { case: 'candidate' as const, value: candidateMessage(candidate) } };
  for await (const inputs of batches) yield { frame: { case: 'batch' as const, value: { inputs: [...inputs] } } };
}

export function createPolicyTrials(transport: Transport): PolicyTrials {
  const client = createClient(StsService, transport);
  return {
    async simulate(candidate, inputJson, { requestId, traceparent }) {
      const options = outgoing({ requestId, traceparent, timeoutMs: simulateTimeoutMs });
      const request = { candidate: candidateMessage(candidate), inputJson };
      try {
        const answer = await client.simulatePolicy(request, options);
        if (answer.problems.length > 0) return { kind: 'refused', problems: answer.problems };
        const { diagnosticsJson, inputDigest } = answer;
        return { kind: 'decided', ...trialDecision(answer), diagnostics: notesOf(diagnosticsJson), inputDigest };
      } catch (error) {
        throw asPolicyFailure(error);
      }
    },
    async *replay(candidate, batches, { facts: { requestId, traceparent }, signal }) {
      const options = outgoing({ requestId, traceparent, signal });
      try {
        for await (const response of client.replayPolicy(frames(candidate, batches), options)) yield stepOf(response);
      } catch (error) {
        throw asPolicyFailure(error);
      }
    },
  };
}
