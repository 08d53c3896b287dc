// What the control plane asks about policies that nobody enforces: what they would decide, on one input or on recorded ones.
import type { JsonObject } from '#mesh/failure';
import type { DecisionKind, RecordedBatch } from '../domain/replay-summary.ts';
import type { CallFacts } from './control-store.ts';
import type { PolicyProblem } from './sts-peer.ts';

/** A set that is not necessarily stored or active. */
export interface TrialCandidate {
  readonly zoneId: string;
  readonly policies: readonly { readonly policyVersionId: string; readonly name: string; readonly content: string }[];
  readonly params: JsonObject;
}

export interface TrialDecision {
  readonly decision: DecisionKind;
  readonly evaluationStatus: string;
  readonly determiningPolicies: readonly string[];
}

export type Simulated =
  | { readonly kind: 'refused'; readonly problems: readonly PolicyProblem[] }
  | ({
      readonly kind: 'decided';
      readonly diagnostics: readonly JsonObject[];
      readonly inputDigest: string;
    } & TrialDecision);

/** What comes back of a replay, in order: first whether the candidate was loaded, then an answer for each batch. */
export type ReplayStep =
  | { readonly kind: 'checked'; readonly problems: readonly PolicyProblem[] }
  | { readonly kind: 'answered'; readonly answers: readonly TrialDecision[]; readonly evaluated: number };

/** An input by its digest; the text stands where the digest is named first. */
export interface ReplayInput {
  readonly inputDigest: string;
  readonly inputJson: string;
}

/** Everything rejects with `sts_unavailable` or `policy_unavailable` when the STS, or OPA behind it, cannot be asked. */
export interface PolicyTrials {
  simulate(candidate: TrialCandidate, inputJson: string, facts: CallFacts): Promise<Simulated>;
  /** Ends when the signal says so. */
  replay(
    candidate: TrialCandidate,
    batches: AsyncIterable<readonly ReplayInput[]>,
    about: { readonly facts: CallFacts; readonly signal: AbortSignal },
  ): AsyncIterable<ReplayStep>;
}

export interface RecordedRange {
  readonly zoneId: string;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  /** Only this event, wherever it lies in time. */
  readonly eventId: string | undefined;
  /** Decisions at most; 1 to 100,000. */
  readonly limit: number;
}

/** Rejects with `audit_unavailable` when Audit cannot be asked. */
export interface RecordedDecisions {
  /** Oldest first. Ends when the signal says so. */
  read(
    range: RecordedRange,
    about: { readonly facts: CallFacts; readonly signal: AbortSignal },
  ): AsyncIterable<RecordedBatch>;
}
