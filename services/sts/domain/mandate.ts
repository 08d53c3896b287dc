// The claims of every mandate the STS makes. It stands alone so that what a mandate says is decided in one place,
// whichever flow asked for it. Absent rather than empty (authority.md "Mandates").
import type { ActorClaim, ConfirmationClaim, MandateClaims, MayActClaim } from '#mesh/mandate';
import type { AgentSession, DelegationPath } from './agent-session.ts';
import { upstreamSeconds } from './lifetime.ts';
import type { MandateUse } from './lifetime.ts';

/** What a mandate is bound to besides its client. */
export interface Binding {
  readonly session?: AgentSession | undefined;
  readonly path?: DelegationPath | undefined;
}

export interface Minting {
  readonly use: MandateUse;
  readonly issuer: string;
  readonly zoneId: string;
  readonly clientId: string;
  readonly subject: string;
  readonly subjectType: 'user' | 'application';
  readonly scopes: readonly string[];
  readonly targets: readonly string[];
  readonly sid: string;
  readonly rootSid: string;
  readonly jti: string;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly binding: Binding;
  /** The key that must prove itself; undefined leaves the mandate a bearer. */
  readonly confirmation: ConfirmationClaim | undefined;
  /** The application the authority was issued to, where an actor of another client uses it. */
  readonly holderId?: string | undefined;
  readonly act?: ActorClaim | undefined;
  readonly mayAct?: MayActClaim | undefined;
}

type SessionClaims = Partial<
  Pick<
    MandateClaims,
    | 'agent_session_id'
    | 'delegation_edge_id'
    | 'source_session_id'
    | 'target_session_id'
    | 'delegation_path'
    | 'delegation_chain'
    | 'hop_count'
    | 'delegation_graph_epoch'
  >
>;

/** The claims of session and delegation path: edge ids root first, one chain entry per issuer and the receiver last. */
function bindingClaims({ binding, holderId, clientId }: Minting): SessionClaims {
  const { session, path } = binding;
  const bound: SessionClaims = session ? { agent_session_id: session.id } : {};
  const last = path?.edges.at(-1);
  if (!path || !last) {
    if (holderId === undefined || holderId === clientId) return bound;
    // Whose authority it is, so that what ends its holder ends it too.
    return { ...bound, delegation_chain: [{ app: holderId, ...(session ? { session: session.id } : {}) }] };
  }
  return {
    ...bound,
    delegation_edge_id: last.id,
    source_session_id: last.sourceSessionId,
    target_session_id: last.targetSessionId,
    delegation_path: path.edges.map((edge) => edge.id),
    delegation_chain: [
      ...path.edges.map((edge) => ({ app: edge.issuerApplicationId, session: edge.sourceSessionId, edge: edge.id })),
      { app: last.receiverApplicationId, session: last.targetSessionId },
    ],
    hop_count: path.edges.length,
    ...(path.epoch > 0 ? { delegation_graph_epoch: path.epoch } : {}),
  };
}

/** All claims but `rev`, which is read in the turn that signs. */
export function mandateClaims(minting: Minting): Omit<MandateClaims, 'rev'> {
  return {
    iss: minting.issuer,
    sub: minting.subject,
    aud: minting.use === 'ambient' ? [minting.issuer] : [...minting.targets],
    exp: minting.expiresAt,
    iat: minting.issuedAt,
    jti: minting.jti,
    zone_id: minting.zoneId,
    client_id: minting.clientId,
    use: minting.use,
    sub_type: minting.subjectType,
    ...(minting.scopes.length > 0 ? { scope: minting.scopes.join(' ') } : {}),
    ...(minting.targets.length > 0 ? { target: [...minting.targets] } : {}),
    sid: minting.sid,
    root_sid: minting.rootSid,
    ...bindingClaims(minting),
    ...(minting.confirmation ? { cnf: minting.confirmation } : {}),
    ...(minting.act ? { act: minting.act } : {}),
    ...(minting.mayAct ? { may_act: minting.mayAct } : {}),
  };
}

/**
 * What goes to an upstream in place of the presented mandate: one resource, this operation's scopes, a minute at most,
 * no key binding (it is the one thing that leaves a bound chain).
 */
export function upstreamClaims(
  presented: MandateClaims,
  call: { readonly resource: string; readonly scopes: readonly string[]; readonly jti: string; readonly nowMs: number },
): Omit<MandateClaims, 'rev'> {
  const { cnf: _cnf, scope: _scope, target: _target, rev: _rev, ...kept } = presented;
  const issuedAt = Math.floor(call.nowMs / 1000);
  return {
    ...kept,
    aud: [call.resource],
    target: [call.resource],
    use: 'per_call',
    ...(call.scopes.length > 0 ? { scope: call.scopes.join(' ') } : {}),
    jti: call.jti,
    iat: issuedAt,
    exp: Math.min(presented.exp, issuedAt + upstreamSeconds),
    via: 'gateway',
  };
}
