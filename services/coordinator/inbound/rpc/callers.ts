// Turns an authorized call into the caller that the rules know: a mandate of this zone with the lifecycle scope, or the
// API on behalf of an administrator.
import { fail } from '#mesh/failure';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import { mandateAnchors, refuseMandate, type VerifiedMandate } from '#mesh/mandate';
import type { Caller as Authorized } from '#mesh/identity';
import type { Caller, MandateCaller } from '../../domain/caller.ts';

/** Whoever got past the gate, however the call came in. */
export type AuthorizedCaller = Authorized<VerifiedMandate>;

/** @throws invalid_token, insufficient_scope, zone_mismatch, permission_denied. */
export function callerFor(caller: AuthorizedCaller, zoneId: ZoneId, issuer: string): Caller {
  if (caller.kind === 'peer' && caller.service === 'api') return { kind: 'control-plane', zoneId };
  if (caller.kind !== 'bearer') throw fail('permission_denied');
  return mandateCaller(caller.mandate, zoneId, issuer);
}

/** As callerFor, where only the holder of a mandate may act: what is minted is bounded by that mandate. */
export function mandateCallerFor(caller: AuthorizedCaller, zoneId: ZoneId, issuer: string): MandateCaller {
  const known = callerFor(caller, zoneId, issuer);
  if (known.kind !== 'mandate')
    throw fail('permission_denied', { description: 'this call takes the mandate of an application or session' });
  return known;
}

function mandateCaller(mandate: VerifiedMandate, zoneId: ZoneId, issuer: string): MandateCaller {
  const { claims } = mandate;
  const refusal = refuseMandate(claims, { at: 'coordinator', issuer, zoneId });
  if (refusal === 'wrong_zone') throw fail('zone_mismatch');
  if (refusal === 'wrong_scope')
    throw fail('insufficient_scope', { details: { required_scopes: ['agent:lifecycle'] } });
  if (refusal !== undefined) throw fail('invalid_token', { privateDetail: refusal });
  // A mandate bound to a key is worth nothing without its proof, and the Coordinator reads none yet.
  if (claims.cnf !== undefined)
    throw fail('invalid_token', { privateDetail: 'sender-constrained mandate without proof' });
  return {
    kind: 'mandate',
    zoneId,
    clientId: claims.client_id as ApplicationId,
    agentSessionId: claims.agent_session_id as AgentSessionId | undefined,
    scopes: claims.scope?.split(' ') ?? [],
    resources: claims.target ?? [],
    sessionRecordId: claims.sid,
    rev: claims.rev,
    anchorIds: mandateAnchors(mandate).map((anchor) => anchor.id),
    bearer: mandate.token,
  };
}
