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
import type { ShadowWatch } from '../ports/shadow-watch.ts';

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
  /** Absent where nothing is watched. */
  readonly shadow?: ShadowWatch | undefined;
}

type Decided = Pick<PolicyOutcome, 'decision' | 'remembered'>;

async function decideBy(
  deps: DecideDeps,
  version: PolicySetVersion | undefined,
  input: Pick<PolicyOutcome, 'inputJson' | 'inputDigest'>,
): Promise<Decided> {
  if (!version) {
    const diagnostics = [{ reason: 'no_active_policy_set' }];
    return { decision: denial('no_active_policy_set', diagnostics), remembered: false };
  }
  const evaluation = await deps.policyEngine.evaluate({ version, ...input });
  if (evaluation.kind === 'failed') return { decision: denial(evaluation.status), remembered: false };
  const names = version.policies.map(({ name }) => name);
  return { decision: combine(names, evaluation.results), remembered: evaluation.remembered };
}

/** The request behind a question, for evidence; policy never sees it. */
interface AskedBy {
  readonly requestId: string;
  readonly traceId: string | undefined;
}

/** Decides one question. Throws `store_unavailable` when the active set cannot be known. */
export async function decideByPolicy(
  deps: DecideDeps,
  question: DecisionQuestion,
  asked: AskedBy | undefined,
): Promise<PolicyOutcome> {
  const inputJson = canonicalJson(decisionInput(question));
  const inputDigest = sha256Hex(inputJson);
  const version = await deps.directory.activePolicySet(question.zone.id);
  const { decision, remembered } = await decideBy(deps, version, { inputJson, inputDigest });
  deps.shadow?.note({
    zoneId: question.zone.id,
    applicationId: question.application.id,
    resource: question.resource.identifier,
    scopes: question.requestedScopes,
    requestId: asked?.requestId ?? '',
    traceId: asked?.traceId,
    decision,
    versionId: version?.versionId,
    policySetId: version?.policySetId,
    digest: version?.digest,
    inputJson,
    inputDigest,
  });
  return { decision, version, inputJson, inputDigest, remembered };
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
