// Ends a session and everything below it in one transaction: states, edges, counters, ledger and, last, the anchors that
// make every mandate of the cascade worthless.
import { fail } from '#mesh/failure';
import type { AgentSessionId } from '#mesh/ids';
import type { AgentSession } from '../domain/agent-session.ts';
import type { Caller } from '../domain/caller.ts';
import type { CallFacts, CoordinatorDeps } from '../ports/deps.ts';
import type { BarrierReport } from '#mesh/revocation';
import type { AnchorDraft, GraphTransaction } from '../ports/session-graph.ts';
import { governs } from './govern.ts';

export interface EndSession {
  readonly sessionId: AgentSessionId;
  readonly reason: string;
  readonly waitApplied: boolean;
  /** How long to wait for the barrier, milliseconds. */
  readonly deadlineMs: number;
}

export interface EndedSessions {
  readonly sessionIds: readonly string[];
  readonly edgeIds: readonly string[];
  /** 0 when nothing was left to end. */
  readonly revocationNumber: number;
  readonly barrier: BarrierReport | undefined;
}

/**
 * Ends a session with its cascade. Ending an ended session changes nothing and succeeds.
 * @throws not_found, permission_denied, token_revoked, store_unavailable, barrier_timeout (the end stands).
 */
export async function endSession(
  deps: CoordinatorDeps,
  request: { caller: Caller; end: EndSession },
  facts: CallFacts,
): Promise<EndedSessions> {
  const { caller, end } = request;
  const { sessionId, reason } = end;
  const change = { caller, lock: 'exclusive', requestId: facts.requestId } as const;
  const ended = await deps.graph.change(change, async (tx) => {
    const sessions = await tx.openSubtree(sessionId);
    const session = sessions.find(({ id }) => id === sessionId) ?? (await tx.session(sessionId));
    if (session === undefined) throw fail('not_found', { description: 'no such session in this zone' });
    if (!(await governs(tx, caller, session))) throw fail('permission_denied');
    return endSessions(deps, { tx, caller, facts, sessions, reason, state: 'terminated' });
  });
  const barrier = end.waitApplied ? await waitUntilApplied(deps, ended.revocationNumber, end.deadlineMs) : undefined;
  return { ...ended, barrier };
}

/** What was ended before may not be applied everywhere yet: its caller may have lost the answer, and asks again to know. */
export function waitUntilApplied(
  { barrier }: Pick<CoordinatorDeps, 'barrier'>,
  revocationNumber: number,
  deadlineMs: number,
): Promise<BarrierReport> {
  return revocationNumber > 0 ? barrier.wait(revocationNumber, deadlineMs) : barrier.waitForAll(deadlineMs);
}

export interface SessionsEnd {
  readonly tx: GraphTransaction;
  readonly caller: Caller;
  readonly facts: CallFacts;
  /** Open sessions, each with all that is open below it. */
  readonly sessions: readonly AgentSession[];
  readonly reason: string;
  readonly state: 'terminated' | 'expired';
}

/** Ends open sessions within a transaction that holds the graph exclusively. */
export async function endSessions(deps: CoordinatorDeps, end: SessionsEnd): Promise<Omit<EndedSessions, 'barrier'>> {
  const { tx, reason, state, sessions } = end;
  if (sessions.length === 0) return { sessionIds: [], edgeIds: [], revocationNumber: 0 };
  const atMs = Math.floor(deps.clock.now());
  const sessionIds = sessions.map((session) => session.id);
  const edges = await tx.liveEdgesTouching(sessionIds);
  const edgeIds = edges.map((edge) => edge.id);
  const context = { ...end.facts, caller: end.caller };
  const changes = sessions.map((session) => ({ session, transition: state, reason }));
  const [, , , , epoch] = await Promise.all([
    tx.endSessions(sessions, { state, reason, atMs }),
    tx.revokeEdges(edges, atMs),
    tx.recordEdges(edges, { kind: 'revoked', reason }, context),
    tx.recordSessions(changes, context),
    tx.nextEpoch(),
  ]);
  const anchors: AnchorDraft[] = [
    ...sessionIds.map((anchor) => ({ kind: 'agent_session' as const, anchor })),
    ...edgeIds.map((anchor) => ({ kind: 'edge' as const, anchor })),
  ];
  const [, revocationNumber] = await Promise.all([
    tx.invalidate({ epoch, sessionIds, edgeIds }),
    tx.revoke(anchors, reason),
  ]);
  return { sessionIds, edgeIds, revocationNumber };
}
