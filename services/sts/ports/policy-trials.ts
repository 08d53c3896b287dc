// The need: what policies that nobody enforces would say, without disturbing what is enforced.
import type { JsonObject } from '#mesh/failure';
import type { PolicySource } from '../domain/policy-set.ts';
import type { Evaluation, VersionProblem } from './policy-engine.ts';

export interface PolicyCandidate {
  readonly zoneId: string;
  readonly policies: readonly PolicySource[];
  readonly params: JsonObject;
}

/** A candidate loaded under a package of its own, which nothing else can reach; taken out when disposed. */
export interface LoadedCandidate extends AsyncDisposable {
  /**
   * The answers to canonical inputs, in their order; each is evaluated by itself. Never throws for a policy's sake: one
   * that errs or takes too long is `failed`, and a candidate that is slow throughout is not asked for ever.
   */
  evaluateBatch(inputsJson: readonly string[]): Promise<readonly Evaluation[]>;
}

export type CandidateOpening =
  | { readonly kind: 'loaded'; readonly candidate: LoadedCandidate }
  /** What keeps it from being loaded: the same as for a set that is to be activated. */
  | { readonly kind: 'refused'; readonly problems: readonly VersionProblem[] };

/** Takes no place among enforced versions and no turn of theirs; so many at once for a zone and in all. */
export interface PolicyTrials {
  /** Throws `policy_unavailable` when nobody can say, `rate_limited` beyond the zone's share. */
  open(candidate: PolicyCandidate): Promise<CandidateOpening>;
}
