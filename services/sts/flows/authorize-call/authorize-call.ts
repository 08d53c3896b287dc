// Decides one governed call: verify, match, decide, release, record, answer. Exactly one decision event per question, and
// it is durable before the verdict leaves.
import { asFailure, fail } from '#mesh/failure';
import type { Failure, JsonValue } from '#mesh/failure';
import type { VerifiedMandate } from '#mesh/mandate';
import type { Provider } from '../../domain/directory.ts';
import type { Evidence } from '../../ports/evidence.ts';
import { decideByPolicy, refusalOf } from '../decide-by-policy.ts';
import type { DecideDeps, PolicyOutcome } from '../decide-by-policy.ts';
import { decisionEvent } from '../evidence.ts';
import { approvalOf } from '../resolve-hold.ts';
import type { ApprovedHold, HoldDeps } from '../resolve-hold.ts';
import type { CallAllowed, CallQuestion, CallRefused, CallVerdict, Injection } from './call-question.ts';
import { matchScopes } from './match-scopes.ts';
import { prepareRelease, release } from './release-credential.ts';
import type { PreparedRelease, ReleaseDeps } from './release-credential.ts';
import { settleCallHold } from './settle-call-hold.ts';
import { acceptPresented, assertNotRevoked, readCall } from './verify-mandate.ts';
import type { KnownCall, VerifyDeps } from './verify-mandate.ts';

export type AuthorizeDeps = VerifyDeps & DecideDeps & HoldDeps & ReleaseDeps & { readonly evidence: Evidence };

/** A verdict may be given again for this long; anything slower to change than that reaches the Gateway by stream. */
const reuseMs = 5000;

/** What is known so far, for evidence of whatever comes out. */
interface Progress {
  mandate?: VerifiedMandate;
  call?: KnownCall;
  scopes?: readonly string[];
  policy?: PolicyOutcome;
  approval?: ApprovedHold | undefined;
}

function mandateFacts(mandate: VerifiedMandate | undefined): Record<string, JsonValue | undefined> {
  if (!mandate) return {};
  const { claims } = mandate;
  return {
    application_id: claims.client_id,
    subject: claims.sub,
    actor: claims.act?.sub,
    use: claims.use,
    jti: claims.jti,
    sid: claims.sid,
    root_sid: claims.root_sid,
    agent_session_id: claims.agent_session_id,
    delegation_edge_id: claims.delegation_edge_id,
    delegation_path: claims.delegation_path ? [...claims.delegation_path] : undefined,
  };
}

async function record(
  deps: AuthorizeDeps,
  question: CallQuestion,
  progress: Progress & { failure?: Failure },
): Promise<string> {
  const { mandate, call, policy, failure } = progress;
  const { eventId } = await deps.evidence.emit(
    decisionEvent({
      eventType: 'gateway.decision',
      asked: question.asked,
      // The Gateway routed to a zone it knows; only a verified mandate proves that it is this one.
      zoneId: mandate?.claims.zone_id,
      recordInputs: call?.zone.recordInputs ?? false,
      policy,
      failure,
      facts: {
        ...mandateFacts(mandate),
        claimed_zone_id: mandate ? undefined : question.zoneId,
        resource: question.resource,
        method: question.method,
        path: question.path,
        scopes: progress.scopes ? [...progress.scopes] : undefined,
        approval_id: approvalOf(progress),
        hop_count: call?.bound.path?.edges.length,
        provider_id: call?.resource.providerId,
        // One call has one decision; what is decided while its answer is open is told apart from it.
        decided_again: question.again === true ? true : undefined,
      },
    }),
  );
  return eventId;
}

interface ReadyToRelease {
  readonly call: KnownCall;
  readonly policy: PolicyOutcome;
  readonly scopes: readonly string[];
  readonly prepared: PreparedRelease;
  readonly epoch: number;
}

async function decideCall(deps: AuthorizeDeps, question: CallQuestion, progress: Progress): Promise<ReadyToRelease> {
  deps.revocations.assertUsable();
  const mandate = await deps.mandateReader.verify(question.mandate);
  // From here on its zone is proven: a refusal belongs to that zone's ledger.
  progress.mandate = mandate;
  acceptPresented(deps, question, mandate);
  const call = await readCall(deps, question, mandate);
  progress.call = call;
  const scopes = matchScopes(call, question);
  progress.scopes = scopes;
  const policy = await decideByPolicy(
    deps,
    {
      zone: call.zone,
      application: call.application,
      resource: { ...call.resource, type: 'Resource' },
      action: { id: 'GatewayCall', method: question.method, path: question.path },
      requestedScopes: scopes,
      session: call.bound.session,
      path: call.bound.path,
      subject: mandate.claims,
      userClaims: call.userClaims,
      nowMs: call.nowMs,
    },
    question.asked,
  );
  progress.policy = policy;
  const approval = await settleCallHold(deps, question, { call, policy, scopes });
  progress.approval = approval;
  const failure = approval ? undefined : refusalOf(policy);
  if (failure) throw failure;
  const provider = await providerOf(deps, call);
  const prepared = await prepareRelease(deps, call, provider);
  const epoch = call.bound.path?.epoch ?? (await deps.delegationGraph.epoch(call.zone.id));
  // Last of all that is awaited: what fails from here on does not give it back.
  await approval?.spend();
  return { call, policy, scopes, prepared, epoch };
}

async function providerOf(deps: AuthorizeDeps, call: KnownCall): Promise<Provider | undefined> {
  const { providerId } = call.resource;
  if (providerId === undefined) return undefined;
  const provider = await deps.directory.provider(call.zone.id, providerId);
  // A resource whose provider is gone must not go out without its credential.
  if (!provider) throw fail('credential_not_releasable', { privateDetail: 'unknown_provider' });
  return provider;
}

function validUntilMs(ready: ReadyToRelease, injection: Injection): number {
  const bounds = [
    ready.call.nowMs + reuseMs,
    ready.call.mandate.claims.exp * 1000,
    ...ready.call.bound.expiriesMs,
    ...(injection.expiresAtMs > 0 ? [injection.expiresAtMs] : []),
  ];
  return Math.floor(Math.min(...bounds));
}

function allowed(ready: ReadyToRelease, injection: Injection, eventId: string): CallAllowed {
  const { call, policy, prepared } = ready;
  return {
    kind: 'allowed',
    eventId,
    scopes: ready.scopes,
    injection,
    upstreamUrl: call.resource.upstreamUrl,
    allowedHosts: prepared.plan.allowedHosts,
    // A per_call mandate is good once and so is an approval, and so are the verdicts on them.
    reusable: call.mandate.claims.use === 'ambient' && policy.decision.kind === 'allow',
    validUntilMs: validUntilMs(ready, injection),
    policyDigest: policy.version?.digest ?? '',
    policySetId: policy.version?.policySetId ?? '',
    policySetVersionId: policy.version?.versionId ?? '',
    inputDigest: policy.inputDigest,
    resourceVersion: call.resource.version,
    delegationEpoch: ready.epoch,
  };
}

async function refuse(
  deps: AuthorizeDeps,
  question: CallQuestion,
  about: Progress & { failure: Failure },
): Promise<CallRefused> {
  const { failure, policy } = about;
  const required = failure.details?.['required_scopes'];
  const refused = {
    kind: 'refused',
    diagnostics: failure.reason === 'policy_denied' ? (policy?.decision.diagnostics ?? []) : [],
    requiredScopes: Array.isArray(required)
      ? required.filter((scope): scope is string => typeof scope === 'string')
      : [],
  } as const;
  try {
    return { ...refused, failure, eventId: await record(deps, question, about) };
  } catch (error) {
    return { ...refused, failure: asFailure(error), eventId: '' };
  }
}

/** Refuses a question that was not even looked at (malformed, too many under way), with its event. Never throws. */
export async function refuseCall(deps: AuthorizeDeps, question: CallQuestion, failure: Failure): Promise<CallRefused> {
  return refuse(deps, question, { failure });
}

/** The verdict; never throws. */
export async function authorizeCall(deps: AuthorizeDeps, question: CallQuestion): Promise<CallVerdict> {
  const progress: Progress = {};
  let ready: ReadyToRelease;
  let injection: Injection;
  try {
    ready = await decideCall(deps, question, progress);
    // The same turn checks the anchors again and signs or opens.
    assertNotRevoked(deps, ready.call.mandate);
    injection = release(deps, ready.call, { ...ready.prepared, scopes: ready.scopes });
  } catch (error) {
    return refuse(deps, question, { ...progress, failure: asFailure(error) });
  }
  try {
    return allowed(ready, injection, await record(deps, question, progress));
  } catch (error) {
    return { kind: 'refused', failure: asFailure(error), diagnostics: [], eventId: '', requiredScopes: [] };
  }
}
