// The shape of every decision event of the STS: who asked for what, what was decided and why. One place, so that token
// endpoint, governed calls and session mandates leave the same facts under the same names.
import type { Failure, JsonObject, JsonValue } from '#mesh/failure';
import { SYSTEM_ZONE } from '#mesh/ids';
import type { AuditEventDraft } from '#mesh/trail';
import type { PolicyOutcome } from './decide-by-policy.ts';

/** Where the question came from. */
export interface Asked {
  readonly requestId: string;
  readonly traceId: string | undefined;
}

export interface DecisionFacts {
  readonly eventType: 'token.exchange' | 'gateway.decision' | 'token.introspect' | 'token.revoke' | 'revocation.watch';
  readonly asked: Asked;
  /** The zone that was proven; undefined puts the event under the system zone. */
  readonly zoneId: string | undefined;
  readonly recordInputs: boolean;
  /** Undefined when policy was not asked. */
  readonly policy?: PolicyOutcome | undefined;
  /** Undefined when it was allowed. */
  readonly failure?: Failure | undefined;
  /** Facts by name; what is undefined is left out. */
  readonly facts: Readonly<Record<string, JsonValue | undefined>>;
}

function present(facts: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(facts).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined),
  );
}

function policyFields(policy: PolicyOutcome, recordInputs: boolean): Partial<AuditEventDraft> {
  const { version, decision } = policy;
  return {
    ...(version
      ? { policySetId: version.policySetId, policySetVersionId: version.versionId, manifestSha: version.digest }
      : {}),
    determiningPolicies: [...decision.determining],
    diagnostics: [...decision.diagnostics],
    inputDigest: policy.inputDigest,
    ...(recordInputs ? { inputJson: policy.inputJson } : {}),
  };
}

function statusOf({ policy, failure }: DecisionFacts): string {
  return policy?.decision.status ?? failure?.reason ?? 'complete';
}

function metadataOf({ policy, failure, facts }: DecisionFacts): JsonObject {
  const memo = policy?.remembered === true ? true : undefined;
  // Replay compares with what policy itself said: an allow may be refused later, and a hold denies until it is approved.
  const said = policy?.decision.kind;
  return present({ ...facts, policy_decision: said, reason: failure?.reason, cause: failure?.privateDetail, memo });
}

/** The event of one decision. */
export function decisionEvent(input: DecisionFacts): AuditEventDraft {
  const { policy } = input;
  return {
    zoneId: input.zoneId ?? SYSTEM_ZONE,
    eventType: input.eventType,
    requestId: input.asked.requestId,
    ...(input.asked.traceId === undefined ? {} : { traceId: input.asked.traceId }),
    decision: input.failure ? 'deny' : 'allow',
    evaluationStatus: statusOf(input),
    ...(policy ? policyFields(policy, input.recordInputs) : {}),
    metadata: metadataOf(input),
  };
}
