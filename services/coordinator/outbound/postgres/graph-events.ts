// What a change of the graph tells others: lifecycle entries and ledger events, written in the change's own transaction.
import type { JsonObject } from '#mesh/failure';
import { enqueueAll, type LedgerDraft, type OutboxEntry } from '#mesh/outbox';
import type { ZoneTransaction } from '#mesh/postgres';
import type { DelegationEdge } from '../../domain/delegation-graph.ts';
import type { ChangeContext, SessionChange } from '../../ports/session-graph.ts';

function actor(context: ChangeContext): JsonObject {
  const { caller } = context;
  if (caller.kind === 'control-plane') return { actor: 'api' };
  return {
    actor: caller.clientId,
    ...(caller.agentSessionId === undefined ? {} : { actor_agent_session_id: caller.agentSessionId }),
    sid: caller.sessionRecordId,
  };
}

const eventTypes = { started: 'session.started', terminated: 'session.ended', expired: 'session.ended' } as const;

export async function recordSessions(
  tx: ZoneTransaction,
  changes: readonly SessionChange[],
  context: ChangeContext,
): Promise<void> {
  await enqueueAll(tx, {
    entries: changes.map((change) => lifecycleEntry(tx.zoneId, change, context.traceparent)),
    events: changes.map((change) => sessionEvent(tx.zoneId, change, context)),
  });
}

function lifecycleEntry(zoneId: string, change: SessionChange, traceparent: string | undefined): OutboxEntry {
  const { session, transition, reason } = change;
  const occurrence = transition === 'started' ? session.transitions : session.transitions + 1;
  return {
    stream: 'caracal.agents.lifecycle',
    zoneId,
    dedupeKey: `session:${session.id}:${occurrence}`,
    payload: {
      zoneId,
      sessionId: session.id,
      ...(session.parentId === undefined ? {} : { parentId: session.parentId }),
      applicationId: session.applicationId,
      transition,
      reason,
    },
    traceparent,
  };
}

function sessionEvent(zoneId: string, change: SessionChange, context: ChangeContext): LedgerDraft {
  const { session, transition, reason } = change;
  return {
    zoneId,
    eventType: eventTypes[transition],
    requestId: context.requestId,
    traceId: context.traceId,
    metadata: {
      ...actor(context),
      application_id: session.applicationId,
      agent_session_id: session.id,
      ...(session.parentId === undefined ? {} : { parent_session_id: session.parentId }),
      depth: session.depth,
      scopes: [...session.scopes],
      resources: [...session.resources],
      transition,
      reason,
    },
  };
}

export async function recordEdges(
  tx: ZoneTransaction,
  change: { edges: readonly DelegationEdge[]; kind: 'created' | 'revoked'; reason: string },
  context: ChangeContext,
): Promise<void> {
  if (change.edges.length === 0) return;
  const events = change.edges.map((edge): LedgerDraft => ({
    zoneId: tx.zoneId,
    eventType: `delegation.${change.kind}`,
    requestId: context.requestId,
    traceId: context.traceId,
    metadata: {
      ...actor(context),
      delegation_edge_id: edge.id,
      source_session_id: edge.sourceSessionId,
      target_session_id: edge.targetSessionId,
      issuer_application_id: edge.issuerApplicationId,
      receiver_application_id: edge.receiverApplicationId,
      ...(edge.parentEdgeId === undefined ? {} : { parent_edge_id: edge.parentEdgeId }),
      scopes: [...edge.scopes],
      resources: [...edge.resources],
      max_hops: edge.maxHops,
      reason: change.reason,
    },
  }));
  await enqueueAll(tx, { entries: [], events });
}
