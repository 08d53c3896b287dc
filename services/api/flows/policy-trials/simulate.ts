// What a candidate would decide on one input, given or taken from a recorded decision. Nothing is enforced or recorded.
import { canonicalJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { redacted } from '../../domain/redaction.ts';
import type { RecordedDecision } from '../../domain/replay-summary.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { PolicyProblem } from '../../ports/sts-peer.ts';
import type { ZoneCall } from '../admin-call.ts';
import { chooseCandidate, shownProblems } from './candidate.ts';
import type { CandidateChoice } from './candidate.ts';

export interface SimulateWish extends CandidateChoice {
  /** Either an input, or the id of a decision's event in the ledger. */
  readonly input?: JsonObject | undefined;
  readonly eventId?: string | undefined;
}

export interface SimulationResult {
  readonly wouldActivate: boolean;
  readonly problems: readonly PolicyProblem[];
  readonly decision?: string;
  readonly evaluationStatus?: string;
  readonly determiningPolicies?: readonly string[];
  readonly diagnostics?: readonly JsonObject[];
  readonly inputDigest?: string;
  /** What was decided at the time, when the input is a recorded one. */
  readonly recorded?: Pick<RecordedDecision, 'eventId' | 'decision' | 'evaluationStatus' | 'policyDigest'>;
}

interface SimulationInput {
  readonly inputJson: string;
  readonly recorded: SimulationResult['recorded'];
}

async function recordedInput(deps: ApiDeps, call: ZoneCall, eventId: string): Promise<SimulationInput> {
  const range = { zoneId: call.zoneId, sinceMs: undefined, untilMs: undefined, eventId, limit: 1 };
  const signal = new AbortController().signal;
  let withoutInput = 0;
  for await (const batch of deps.recorded.read(range, { facts: call.facts, signal })) {
    const [decision] = batch.decisions;
    const [input] = batch.inputs;
    withoutInput = batch.withoutInput;
    if (decision === undefined || input === undefined) continue;
    const { decision: kind, evaluationStatus, policyDigest } = decision;
    return { inputJson: input.inputJson, recorded: { eventId, decision: kind, evaluationStatus, policyDigest } };
  }
  if (withoutInput > 0) {
    throw fail('conflict', { description: 'The input of this decision was not recorded (record_inputs of the zone).' });
  }
  throw fail('not_found', { description: 'The ledger has no decision of policy with this event id.' });
}

async function inputOf(deps: ApiDeps, call: ZoneCall, { input, eventId }: SimulateWish): Promise<SimulationInput> {
  if (input !== undefined && eventId === undefined) return { inputJson: canonicalJson(input), recorded: undefined };
  if (input === undefined && eventId !== undefined) return recordedInput(deps, call, eventId);
  throw fail('invalid_request', { fields: [{ path: 'input', rule: 'either input or event_id' }] });
}

/** @throws not_found, invalid_request, conflict (input not recorded), audit_unavailable, sts_unavailable, policy_engine_unavailable. */
export async function simulatePolicySet(deps: ApiDeps, call: ZoneCall, wish: SimulateWish): Promise<SimulationResult> {
  const candidate = await chooseCandidate(deps, call, wish);
  const { inputJson, recorded } = await inputOf(deps, call, wish);
  const simulated = await deps.trials.simulate(candidate, inputJson, call.facts);
  if (simulated.kind === 'refused') return { wouldActivate: false, problems: shownProblems(simulated.problems) };
  const { decision, evaluationStatus, determiningPolicies, inputDigest } = simulated;
  return {
    wouldActivate: true,
    problems: [],
    decision,
    evaluationStatus,
    determiningPolicies,
    diagnostics: simulated.diagnostics.map((note) => redacted(note) as JsonObject),
    inputDigest,
    ...(recorded === undefined ? {} : { recorded }),
  };
}
