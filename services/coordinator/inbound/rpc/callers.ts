// Turns an authorized call into the caller that the rules know: a mandate of this zone with the lifecycle scope, or the
// API on behalf of an administrator.
import { fail } from '#mesh/failure';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import { mandateAnchors, refuseMandate, type ProvenMandate } from '#mesh/mandate';
import type { Caller as Authorized } from '#mesh/identity';
import type { Caller, MandateCaller } from '../../domain/caller.ts';

/** Whoever got past the gate, however the call came in. */
export type AuthorizedCaller = Authorized<ProvenMandate>;

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

function mandateCaller(mandate: ProvenMandate, zoneId: ZoneId, issuer: string): MandateCaller {
  const { claims, proven, presented } = mandate;
  const refusal = refuseMandate(claims, { at: 'coordinator', issuer, zoneId, proven });
  if (refusal === 'wrong_zone') throw fail('zone_mismatch');
  if (refusal === 'wrong_scope')
    throw fail('insufficient_scope', { details: { required_scopes: ['agent:lifecycle'] } });
  if (refusal !== undefined) throw fail('invalid_token', { privateDetail: refusal });
  const [path = ''] = presented.target.split('?', 1);
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
    shown: { dpop: presented.dpop, path, certificateThumbprint: presented.certificateThumbprint },
  };
}
