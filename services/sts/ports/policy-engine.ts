// The need: what the policies of a set version answer to an input, and whether a set may be loaded at all.
import type { JsonObject, JsonValue } from '#mesh/failure';
import type { EvaluationStatus } from '../domain/decision.ts';
import type { PolicyProblem } from '../domain/policy-check.ts';
import type { PolicySetVersion, PolicySource } from '../domain/policy-set.ts';

export interface EngineAnswer {
  /** By position in the version's list; a policy without an answer is absent. */
  readonly results: Readonly<Record<string, JsonValue>>;
  /** True when the answer was remembered and not computed. */
  readonly remembered: boolean;
}

export interface EvaluationQuestion {
  readonly version: PolicySetVersion;
  /** The canonical input; exactly these bytes are evaluated. */
  readonly inputJson: string;
  readonly inputDigest: string;
}

export type Evaluation =
  | ({ readonly kind: 'answered' } & EngineAnswer)
  | { readonly kind: 'failed'; readonly status: Exclude<EvaluationStatus, 'complete'> };

export interface VersionProblem extends PolicyProblem {
  readonly policyVersionId: string;
}

/** Isolated per zone and version: nothing another zone or version loaded can change an answer. */
export interface PolicyEngine {
  /** Never throws for a policy's sake: what cannot be answered within the time limit is `failed`. */
  evaluate(question: EvaluationQuestion): Promise<Evaluation>;
  /** Empty when the set may be stored and activated. Throws `policy_unavailable` when nobody can say. Keeps nothing loaded. */
  validate(zoneId: string, policies: readonly PolicySource[], params: JsonObject): Promise<readonly VersionProblem[]>;
  /** True when exactly this version is loaded now. */
  isLoaded(version: PolicySetVersion): Promise<boolean>;
}
