// The rules of a new delegation edge: it goes between two live sessions, is narrower than its source in every respect and
// closes no loop. Pure; the store only answers what exists.
import { earliestExpiry, isSubset } from '#mesh/authority';
import type { AgentSessionId, ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import { type AgentSession, isLive } from './agent-session.ts';

export type EdgeState = 'pending' | 'active' | 'revoked' | 'expired';

/** Part of what the source holds, given to the target. The target presents it. */
export interface DelegationEdge {
  readonly id: EdgeId;
  readonly zoneId: ZoneId;
  readonly sourceSessionId: AgentSessionId;
  readonly targetSessionId: AgentSessionId;
  readonly issuerApplicationId: ApplicationId;
  readonly receiverApplicationId: ApplicationId;
  readonly parentEdgeId: EdgeId | undefined;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly maxHops: number;
  readonly ttlSeconds: number | undefined;
  readonly state: EdgeState;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

export interface EdgeWish {
  readonly sourceSessionId: AgentSessionId;
  readonly targetSessionId: AgentSessionId;
  readonly parentEdgeId: EdgeId | undefined;
  readonly scopes: readonly string[];
  /** Empty means those of the source. */
  readonly resources: readonly string[];
  readonly maxHops: number;
  readonly mandateTtlSeconds: number | undefined;
  readonly ttlSeconds: number;
}

/** What the store knows about the ends of a new edge. */
export interface EdgeSurroundings {
  readonly source: AgentSession | undefined;
  readonly target: AgentSession | undefined;
  /** The edge named by parent_edge_id, when it exists. */
  readonly parentEdge: DelegationEdge | undefined;
  /** True when the source has at least one live inbound edge. */
  readonly sourceHasInbound: boolean;
  /** True when a path of live edges leads from the target back to the source. */
  readonly closesLoop: boolean;
}

export type EdgeVerdict =
  | {
      readonly kind: 'granted';
      readonly resources: readonly string[];
      readonly expiresAtMs: number;
      readonly state: EdgeState;
    }
  | {
      readonly kind: 'refused';
      readonly reason:
        | 'session_not_live'
        | 'delegation_cycle'
        | 'delegation_not_active'
        | 'delegation_exceeds_authority'
        | 'invalid_request';
      readonly why: string;
    };

type Refusal = Extract<EdgeVerdict, { kind: 'refused' }>;

function refused(reason: Refusal['reason'], why: string): Refusal {
  return { kind: 'refused', reason, why };
}

/** An edge's bound on what may follow it. */
interface SourceBound {
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly expiresAtMs: number;
  readonly maxHops: number;
  readonly ttlSeconds: number | undefined;
}

/** Hops an edge may allow when nothing before it says less; the cap of the protocol. */
export const maxHopsCap = 10;

function boundOfSource(
  { wish, around, source }: { wish: EdgeWish; around: EdgeSurroundings; source: AgentSession },
  nowMs: number,
): SourceBound | Refusal {
  const own = {
    scopes: source.scopes,
    resources: source.resources,
    expiresAtMs: source.expiresAtMs,
    maxHops: maxHopsCap + 1,
    ttlSeconds: undefined,
  };
  if (wish.parentEdgeId === undefined) {
    return around.sourceHasInbound
      ? refused('invalid_request', 'the source has inbound edges: parent_edge_id must name the one to narrow')
      : own;
  }
  const parent = around.parentEdge;
  if (parent === undefined || parent.state !== 'active' || parent.expiresAtMs <= nowMs) {
    return refused('delegation_not_active', 'the parent edge is not active');
  }
  if (parent.targetSessionId !== source.id)
    return refused('delegation_not_active', 'the parent edge does not lead to the source');
  return {
    scopes: parent.scopes,
    resources: parent.resources,
    expiresAtMs: earliestExpiry(parent.expiresAtMs, source.expiresAtMs),
    maxHops: parent.maxHops,
    ttlSeconds: parent.ttlSeconds,
  };
}

function excess(wish: EdgeWish, bound: SourceBound, expiresAtMs: number): string | undefined {
  if (!isSubset(wish.scopes, bound.scopes)) return 'scopes go beyond those of the source';
  if (!isSubset(wish.resources, bound.resources)) return 'resources go beyond those of the source';
  if (wish.maxHops >= bound.maxHops) return 'max_hops must be smaller than that of the edge before';
  if (expiresAtMs > bound.expiresAtMs) return 'the edge would outlive its source';
  if (bound.ttlSeconds !== undefined && (wish.mandateTtlSeconds ?? Infinity) > bound.ttlSeconds) {
    return 'ttl_seconds must be set and within that of the edge before';
  }
  return undefined;
}

/** Decides a new edge. A receiver in another application must accept it before use, hence `pending`. */
export function decideEdge(wish: EdgeWish, around: EdgeSurroundings, nowMs: number): EdgeVerdict {
  const { source, target } = around;
  if (wish.sourceSessionId === wish.targetSessionId)
    return refused('delegation_cycle', 'a session cannot delegate to itself');
  if (source === undefined || !isLive(source, nowMs))
    return refused('session_not_live', 'the source session is not live');
  if (target === undefined || !isLive(target, nowMs))
    return refused('session_not_live', 'the target session is not live');
  if (around.closesLoop) return refused('delegation_cycle', 'the target already delegates to the source');
  const bound = boundOfSource({ wish, around, source }, nowMs);
  if ('kind' in bound) return bound;
  const expiresAtMs = nowMs + wish.ttlSeconds * 1000;
  const over = excess(wish, bound, expiresAtMs);
  if (over !== undefined) return refused('delegation_exceeds_authority', over);
  return {
    kind: 'granted',
    resources: wish.resources.length === 0 ? bound.resources : wish.resources,
    expiresAtMs: earliestExpiry(expiresAtMs, target.expiresAtMs),
    state: source.applicationId === target.applicationId ? 'active' : 'pending',
  };
}
