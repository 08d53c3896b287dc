// Writes what flows answer as messages of the contract.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type AgentSessionSchema,
  type BarrierSchema,
  type DelegationEdgeSchema,
  DelegationState,
  SessionKind,
  type SessionMandateSchema,
  SessionState,
} from '#gen/caracal/coordinator/v1/coordinator_pb';
import type { AgentSession } from '../../domain/agent-session.ts';
import type { DelegationEdge } from '../../domain/delegation-graph.ts';
import type { EndedSessions } from '../../flows/end-session.ts';
import type { StartedSession } from '../../flows/start-session.ts';

type BarrierReport = NonNullable<EndedSessions['barrier']>;
type SessionMandate = NonNullable<StartedSession['mandate']>;

const sessionStates = {
  active: SessionState.ACTIVE,
  suspended: SessionState.SUSPENDED,
  terminated: SessionState.TERMINATED,
  expired: SessionState.EXPIRED,
} as const;

const edgeStates = {
  pending: DelegationState.PENDING,
  active: DelegationState.ACTIVE,
  revoked: DelegationState.REVOKED,
  expired: DelegationState.EXPIRED,
} as const;

export function sessionMessage(session: AgentSession): MessageInitShape<typeof AgentSessionSchema> {
  return {
    id: session.id,
    zoneId: session.zoneId,
    applicationId: session.applicationId,
    parentId: session.parentId ?? '',
    kind: SessionKind.INSTANCE,
    state: sessionStates[session.state],
    depth: session.depth,
    scopes: [...session.scopes],
    resources: [...session.resources],
    startedAt: timestampFromMs(session.startedAtMs),
    expiresAt: timestampFromMs(session.expiresAtMs),
    ...(session.endedAtMs === undefined ? {} : { endedAt: timestampFromMs(session.endedAtMs) }),
  };
}

export function mandateMessage(mandate: SessionMandate): MessageInitShape<typeof SessionMandateSchema> {
  return {
    token: mandate.token,
    expiresIn: mandate.expiresInSeconds,
    scopes: [...mandate.scopes],
    resources: [...mandate.resources],
  };
}

export function edgeMessage(edge: DelegationEdge): MessageInitShape<typeof DelegationEdgeSchema> {
  return {
    id: edge.id,
    zoneId: edge.zoneId,
    sourceSessionId: edge.sourceSessionId,
    targetSessionId: edge.targetSessionId,
    issuerApplicationId: edge.issuerApplicationId,
    receiverApplicationId: edge.receiverApplicationId,
    parentEdgeId: edge.parentEdgeId ?? '',
    scopes: [...edge.scopes],
    constraints: { resources: [...edge.resources], maxHops: edge.maxHops, ttlSeconds: edge.ttlSeconds ?? 0 },
    state: edgeStates[edge.state],
    createdAt: timestampFromMs(edge.createdAtMs),
    expiresAt: timestampFromMs(edge.expiresAtMs),
  };
}

export function barrierMessage(report: BarrierReport): MessageInitShape<typeof BarrierSchema> {
  return { applied: report.applied, points: report.points, gone: report.gone, elapsedMs: report.elapsedMs };
}
