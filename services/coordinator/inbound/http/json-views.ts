// What sessions, edges and mandates look like in the JSON routes.
import type { AgentSession } from '../../domain/agent-session.ts';
import type { DelegationEdge } from '../../domain/delegation-graph.ts';
import type { EndedSessions } from '../../flows/end-session.ts';
import type { StartedSession } from '../../flows/start-session.ts';

/** Capabilities are kept as labels of this form. */
export const capabilityPrefix = 'capability:';

const instant = (epochMs: number): string => new Date(epochMs).toISOString();

export function agentView(session: AgentSession): object {
  const labels = Object.entries(session.labels);
  return {
    id: session.id,
    agent_session_id: session.id,
    zone_id: session.zoneId,
    application_id: session.applicationId,
    parent_id: session.parentId ?? null,
    session_sid: session.sessionRecordId,
    kind: session.kind,
    status: session.state,
    depth: session.depth,
    scopes: session.scopes,
    resources: session.resources,
    capabilities: labels.flatMap(([key]) =>
      key.startsWith(capabilityPrefix) ? [key.slice(capabilityPrefix.length)] : [],
    ),
    metadata: Object.fromEntries(labels.filter(([key]) => !key.startsWith(capabilityPrefix))),
    spawned_at: instant(session.startedAtMs),
    expires_at: instant(session.expiresAtMs),
    ended_at: session.endedAtMs === undefined ? null : instant(session.endedAtMs),
  };
}

export function mandateView(mandate: StartedSession['mandate']): object {
  if (mandate === undefined) return {};
  const { token, expiresInSeconds, scopes, resources } = mandate;
  return { mandate: { token, expires_in: expiresInSeconds, scopes, resources } };
}

/** A live edge past its expiry is told as what it is: nobody accepts it any more. */
export function edgeView(edge: DelegationEdge, nowMs: number): object {
  const isOver = (edge.state === 'active' || edge.state === 'pending') && edge.expiresAtMs <= nowMs;
  return {
    id: edge.id,
    delegation_edge_id: edge.id,
    zone_id: edge.zoneId,
    source_session_id: edge.sourceSessionId,
    target_session_id: edge.targetSessionId,
    issuer_application_id: edge.issuerApplicationId,
    receiver_application_id: edge.receiverApplicationId,
    parent_edge_id: edge.parentEdgeId ?? null,
    scopes: edge.scopes,
    constraints: {
      resources: edge.resources,
      max_hops: edge.maxHops,
      ...(edge.ttlSeconds === undefined ? {} : { ttl_seconds: edge.ttlSeconds }),
    },
    status: isOver ? 'expired' : edge.state,
    created_at: instant(edge.createdAtMs),
    expires_at: instant(edge.expiresAtMs),
  };
}

export function barrierView(barrier: EndedSessions['barrier']): object {
  if (barrier === undefined) return {};
  const { applied, points, gone, elapsedMs } = barrier;
  return { barrier: { applied, points, gone, elapsed_ms: elapsedMs } };
}
