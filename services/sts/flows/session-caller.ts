// First step of a session mint: who asks, for which session, under what, and what its mandate will be bound to. Nothing of
// the Coordinator's word counts: the bearer and its proof are verified here.
import { fail } from '#mesh/failure';
import type { ConfirmationClaim, MandateClaims, VerifiedMandate } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { AgentSession } from '../domain/agent-session.ts';
import { refuseMandate } from '../domain/audience.ts';
import { isLive } from '../domain/directory.ts';
import type { Application, Zone } from '../domain/directory.ts';
import type { DelegationGraph } from '../ports/delegation-graph.ts';
import type { Directory } from '../ports/directory.ts';
import type { MandateReader } from '../ports/mandate-issuing.ts';
import type { ProofChecker } from '../ports/proof-checker.ts';
import type { Revocations } from '../ports/revocations.ts';
import { bindAuthority } from './authority-above.ts';
import type { BoundAuthority } from './authority-above.ts';
import type { Asked } from './evidence.ts';
import { provePassedOn, requireSessionBinding } from './possession.ts';
import type { PassedOnProof } from './possession.ts';

export interface SessionMintRequest {
  readonly asked: Asked;
  readonly bearer: string;
  readonly zoneId: string;
  readonly agentSessionId: string;
  readonly delegationEdgeId: string | undefined;
  /** Empty asks for all that is allowed. */
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly ttlSeconds: number | undefined;
  readonly minDelegationEpoch: number;
  /** The proof and certificate that came with the bearer. */
  readonly passedOn: Omit<PassedOnProof, 'bearer'>;
  /** The thumbprint of the session's own key, where the caller names it. */
  readonly childJkt: string | undefined;
}

export interface SessionCallerDeps {
  readonly issuer: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly directory: Directory;
  readonly delegationGraph: DelegationGraph;
  readonly mandateReader: MandateReader;
  readonly proofChecker: ProofChecker;
  readonly revocations: Revocations;
}

/** Who asks, for which session, under what. */
export interface KnownSession {
  readonly caller: VerifiedMandate;
  readonly zone: Zone;
  readonly application: Application;
  readonly session: AgentSession;
  readonly bound: BoundAuthority;
  readonly confirmation: ConfirmationClaim | undefined;
  readonly nowMs: number;
  readonly since: number;
}

async function verifyCaller(deps: SessionCallerDeps, request: SessionMintRequest): Promise<VerifiedMandate> {
  const { bearer, zoneId, passedOn } = request;
  const caller = await deps.mandateReader.verify(bearer);
  // RFC 9449 §7.1: a proof comes with a bound mandate, and with nothing else.
  if (passedOn.dpop !== undefined && caller.claims.cnf?.jkt === undefined) {
    throw fail('invalid_token', { privateDetail: 'proof_for_bearer' });
  }
  const proven = provePassedOn(deps, { ...passedOn, bearer });
  const refusal = refuseMandate(caller.claims, { at: 'coordinator', issuer: deps.issuer, zoneId, proven });
  if (refusal !== undefined) {
    throw fail(refusal === 'wrong_scope' ? 'insufficient_scope' : 'invalid_token', { privateDetail: refusal });
  }
  const anchors = deps.mandateReader.anchorsOf(caller);
  if (deps.revocations.refuses(zoneId, caller.claims.rev, anchors)) throw fail('token_revoked');
  return caller;
}

/** The caller is the session's parent, or, for a root session, its application outside any session; never itself. */
function mayMintFor(claims: MandateClaims, session: AgentSession): boolean {
  return claims.client_id === session.applicationId && claims.agent_session_id === session.parentId;
}

/** The caller and the session as they stand now, or the failure to answer with. */
export async function knowSession(deps: SessionCallerDeps, request: SessionMintRequest): Promise<KnownSession> {
  deps.revocations.assertUsable();
  const since = deps.revocations.applied();
  const caller = await verifyCaller(deps, request);
  const nowMs = deps.clock.now();
  const [zone, application] = await Promise.all([
    deps.directory.zone(request.zoneId),
    deps.directory.application(request.zoneId, caller.claims.client_id),
  ]);
  if (!zone || !application || !isLive(application, nowMs))
    throw fail('invalid_token', { privateDetail: 'unknown_client' });
  const bound = await bindAuthority(deps, {
    zoneId: request.zoneId,
    applicationId: application.id,
    agentSessionId: request.agentSessionId,
    delegationEdgeId: request.delegationEdgeId,
    nowMs,
    minEpoch: request.minDelegationEpoch,
    holdingBoundsPath: true,
    refusal: request.delegationEdgeId === undefined ? 'session_not_live' : 'delegation_not_active',
  });
  const { session } = bound;
  if (!session) throw fail('session_not_live');
  if (!mayMintFor(caller.claims, session)) throw fail('permission_denied', { privateDetail: 'not_the_parent' });
  const confirmation = requireSessionBinding({
    senderConstraint: application.senderConstraint,
    callerConfirmation: caller.claims.cnf,
    childJkt: request.childJkt,
  });
  return { caller, zone, application, session, bound, confirmation, nowMs, since };
}
