// First step of a governed call: is the presented mandate good at this resource, now? Nothing of the Gateway's word
// counts: signature, class, audience, expiry and anchors are checked here again.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import type { VerifiedMandate } from '#mesh/mandate';
import { refuseMandate } from '../../domain/audience.ts';
import { holderOf } from '../../domain/actor.ts';
import { isLive } from '../../domain/directory.ts';
import type { Application, Resource, Zone } from '../../domain/directory.ts';
import type { DelegationGraph } from '../../ports/delegation-graph.ts';
import type { Directory } from '../../ports/directory.ts';
import type { MandateReader } from '../../ports/mandate-issuing.ts';
import type { Revocations } from '../../ports/revocations.ts';
import { grantedAt, userAuthority } from '../user-authority.ts';
import type { UserAuthority, UserDeps } from '../user-authority.ts';
import { bindAuthority } from '../authority-above.ts';
import type { BoundAuthority } from '../authority-above.ts';
import type { CallQuestion } from './call-question.ts';

export interface VerifyDeps extends UserDeps {
  readonly issuer: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly mandateReader: MandateReader;
  readonly revocations: Revocations;
  readonly directory: Directory;
  readonly delegationGraph: DelegationGraph;
}

/** The call with everything read for it. */
export interface KnownCall {
  readonly mandate: VerifiedMandate;
  readonly zone: Zone;
  readonly application: Application;
  readonly resource: Resource;
  readonly bound: BoundAuthority;
  /** What policies may know of the user; undefined for an application. */
  readonly userClaims: JsonObject | undefined;
  readonly nowMs: number;
}

/** Throws `token_revoked` when an applied anchor hits the mandate. Called again in the turn that releases. */
export function assertNotRevoked(
  deps: Pick<VerifyDeps, 'revocations' | 'mandateReader'>,
  mandate: VerifiedMandate,
): void {
  deps.revocations.assertUsable();
  const anchors = deps.mandateReader.anchorsOf(mandate);
  if (deps.revocations.refuses(mandate.claims.zone_id, mandate.claims.rev, anchors)) throw fail('token_revoked');
}

/** The presented mandate must be good at this resource; `invalid_token` or `token_revoked`. */
export function acceptPresented(deps: VerifyDeps, question: CallQuestion, mandate: VerifiedMandate): void {
  const { issuer } = deps;
  const { zoneId, resource, proven } = question;
  const refusal = refuseMandate(mandate.claims, { at: 'gateway', issuer, zoneId, resource, proven });
  if (refusal !== undefined) throw fail('invalid_token', { privateDetail: refusal });
  if (mandate.claims.exp * 1000 <= deps.clock.now()) throw fail('invalid_token', { privateDetail: 'expired' });
  assertNotRevoked(deps, mandate);
}

/** A user's mandate opens no more than the user grants now, whatever it says. */
function withinGrant({ bound, resource, nowMs }: KnownCall, user: UserAuthority): BoundAuthority {
  const granted = grantedAt(user, resource, nowMs);
  const bounds = [...bound.bounds, { scopes: granted?.scopes ?? [], resources: granted ? [resource.identifier] : [] }];
  const ends = granted?.endsAtMs === undefined ? [] : [granted.endsAtMs];
  return { ...bound, bounds, expiriesMs: [...bound.expiriesMs, ...ends] };
}

/** Zone, client, resource, session and path as they stand now. */
export async function readCall(deps: VerifyDeps, question: CallQuestion, mandate: VerifiedMandate): Promise<KnownCall> {
  const { claims } = mandate;
  const nowMs = deps.clock.now();
  const [zone, application, resource] = await Promise.all([
    deps.directory.zone(claims.zone_id),
    deps.directory.application(claims.zone_id, claims.client_id),
    deps.directory.resource(claims.zone_id, question.resource),
  ]);
  if (!zone) throw fail('invalid_token', { privateDetail: 'unknown_zone' });
  if (!application || !isLive(application, nowMs)) throw fail('invalid_token', { privateDetail: 'unknown_client' });
  if (!resource) throw fail('not_found', { privateDetail: 'unknown_resource' });
  const bound = await bindAuthority(deps, {
    zoneId: claims.zone_id,
    applicationId: holderOf(claims),
    agentSessionId: claims.agent_session_id,
    delegationEdgeId: claims.delegation_edge_id,
    nowMs,
    minEpoch: claims.delegation_graph_epoch,
    holdingBoundsPath: false,
    refusal: 'token_revoked',
  });
  const user = claims.sub_type === 'user' ? await userAuthority(deps, claims) : undefined;
  const call = { mandate, zone, application, resource, bound, userClaims: user?.claims, nowMs };
  return user ? { ...call, bound: withinGrant(call, user) } : call;
}
