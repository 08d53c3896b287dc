// Fourth step of a governed call, when policy allows it with a hold: the approval of exactly this call.
import type { HoldRule } from '../../domain/hold-rule.ts';
import { actorsOf, chainOf } from '../../domain/hold.ts';
import type { PolicyOutcome } from '../decide-by-policy.ts';
import { continueOnSpentHold, resolveHold } from '../resolve-hold.ts';
import type { ApprovedHold, HeldRequest, HoldDeps } from '../resolve-hold.ts';
import type { CallQuestion } from './call-question.ts';
import type { KnownCall } from './verify-mandate.ts';

/** What of policy's words the approver is shown; each note is bounded where it is read. */
const maxDiagnostics = 8;

interface HeldCall {
  readonly call: KnownCall;
  readonly policy: PolicyOutcome;
  readonly scopes: readonly string[];
}

function heldRequest(question: CallQuestion, { call, policy, scopes }: HeldCall, rule: HoldRule): HeldRequest {
  const { claims } = call.mandate;
  const applicationId = call.application.id;
  return {
    action: {
      zoneId: call.zone.id,
      applicationId,
      principal: { subject: claims.sub, subjectType: claims.sub_type, actors: actorsOf(claims) },
      session: {
        sid: claims.sid,
        agentSessionId: claims.agent_session_id,
        delegationEdgeId: claims.delegation_edge_id,
      },
      targets: [{ resource: call.resource.identifier, scopes }],
      operation: {
        kind: 'gateway_call',
        method: question.method,
        path: question.path,
        argumentsDigest: question.argumentsDigest ?? '',
      },
      policyDigest: policy.version?.digest ?? '',
    },
    rules: [rule],
    chain: chainOf({ applicationId, claims, session: call.bound.session, path: call.bound.path }),
    diagnostics: policy.decision.diagnostics.slice(0, maxDiagnostics),
    policySetVersionId: policy.version?.versionId ?? '',
    requestId: question.asked.requestId,
    challenge: question.challenge,
  };
}

/** Nothing is taken from a call that took its approval when it began. */
const nothingToSpend = async (): Promise<void> => undefined;

/**
 * Undefined when policy holds nothing. A call whose answer is open goes on under the approval it spent; any other needs
 * one that is approved and not spent. Throws what resolveHold and continueOnSpentHold throw.
 */
export async function settleCallHold(
  deps: HoldDeps,
  question: CallQuestion,
  held: HeldCall,
): Promise<ApprovedHold | undefined> {
  const { hold } = held.policy.decision;
  if (!hold) return undefined;
  const request = heldRequest(question, held, hold);
  if (question.again !== true) return resolveHold(deps, request);
  return { ...(await continueOnSpentHold(deps, request)), spend: nothingToSpend };
}
