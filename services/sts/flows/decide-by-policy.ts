// One policy decision: the zone's active set, the canonical input, the combined answer. Everything that is not a clear
// allow denies, with a status that says why.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject, Failure } from '#mesh/failure';
import { decisionInput } from '../domain/decision-input.ts';
import type { DecisionQuestion } from '../domain/decision-input.ts';
import { combine, denial } from '../domain/decision.ts';
import type { Decision } from '../domain/decision.ts';
import type { PolicySetVersion } from '../domain/policy-set.ts';
import type { Directory } from '../ports/directory.ts';
import type { PolicyEngine } from '../ports/policy-engine.ts';

export interface PolicyOutcome {
  readonly decision: Decision;
  /** Undefined when the zone enforces none. */
  readonly version: PolicySetVersion | undefined;
  readonly inputJson: string;
  readonly inputDigest: string;
  readonly remembered: boolean;
}

export interface DecideDeps {
  readonly directory: Pick<Directory, 'activePolicySet'>;
  readonly policyEngine: Pick<PolicyEngine, 'evaluate'>;
}

/** Decides one question. Throws `store_unavailable` when the active set cannot be known. */
export async function decideByPolicy(deps: DecideDeps, question: DecisionQuestion): Promise<PolicyOutcome> {
  const inputJson = canonicalJson(decisionInput(question));
  const inputDigest = sha256Hex(inputJson);
  const version = await deps.directory.activePolicySet(question.zone.id);
  if (!version) {
    const diagnostics = [{ reason: 'no_active_policy_set' }];
    const decision = denial('no_active_policy_set', diagnostics);
    return { decision, version, inputJson, inputDigest, remembered: false };
  }
  const evaluation = await deps.policyEngine.evaluate({ version, inputJson, inputDigest });
  if (evaluation.kind === 'failed') {
    return { decision: denial(evaluation.status), version, inputJson, inputDigest, remembered: false };
  }
  const names = version.policies.map(({ name }) => name);
  const decision = combine(names, evaluation.results);
  return { decision, version, inputJson, inputDigest, remembered: evaluation.remembered };
}

/** What a policy said may be shown to the caller, because its author wrote it for that; bounded. */
const maxShown = 8;

/** The failure a decision means, or undefined when it allows. */
export function refusalOf({ decision }: PolicyOutcome): Failure | undefined {
  if (decision.kind === 'allow') return undefined;
  const details: JsonObject = {
    evaluation_status: decision.status,
    diagnostics: decision.diagnostics.slice(0, maxShown),
    determining_policies: decision.determining.slice(0, maxShown),
  };
  switch (decision.status) {
    case 'complete':
    case 'no_active_policy_set':
    case 'undefined':
    case 'malformed':
    case 'incomplete':
      return fail('policy_denied', {
        details,
        ...(decision.kind === 'hold'
          ? { description: 'Policy asks for an approval, which cannot be given here.' }
          : {}),
      });
    case 'evaluation_error':
    case 'timeout':
    case 'policy_unavailable':
      return fail('policy_unavailable', { details });
  }
}
