// Everything by which a revocation can hit a mandate. One list for all enforcement points, so that none forgets a kind.
import type { ActorClaim, MandateClaims, VerifiedMandate } from './claims.ts';

export type AnchorKindName =
  'session' | 'agent_session' | 'edge' | 'jti' | 'application' | 'subject' | 'zone_key' | 'zone';

export interface AnchorRef {
  readonly kind: AnchorKindName;
  readonly id: string;
}

type Add = (kind: AnchorKindName, id: string | undefined) => void;

function addActors(actor: ActorClaim | undefined, add: Add): void {
  for (let link = actor; link !== undefined; link = link.act) {
    add('subject', link.sub);
    add('application', link.client_id);
    add('session', link.sid);
    add('session', link.root_sid);
    add('agent_session', link.agent_session_id);
  }
}

function addDelegation(claims: MandateClaims, add: Add): void {
  add('agent_session', claims.agent_session_id);
  add('agent_session', claims.source_session_id);
  add('agent_session', claims.target_session_id);
  add('edge', claims.delegation_edge_id);
  for (const edge of claims.delegation_path ?? []) add('edge', edge);
  for (const link of claims.delegation_chain ?? []) {
    add('application', link.app);
    add('agent_session', link.session);
    add('edge', link.edge);
  }
}

/** Each anchor once, the ones that are revoked most often first. */
export function mandateAnchors(mandate: Pick<VerifiedMandate, 'claims' | 'kid'>): readonly AnchorRef[] {
  const { claims, kid } = mandate;
  const seen = new Set<string>();
  const anchors: AnchorRef[] = [];
  const add: Add = (kind, id) => {
    if (id === undefined || seen.has(`${kind} ${id}`)) return;
    seen.add(`${kind} ${id}`);
    anchors.push({ kind, id });
  };
  add('session', claims.sid);
  add('session', claims.root_sid);
  addDelegation(claims, add);
  add('jti', claims.jti);
  add('application', claims.client_id);
  add('subject', claims.sub);
  addActors(claims.act, add);
  add('zone_key', kid);
  add('zone', claims.zone_id);
  return anchors;
}
