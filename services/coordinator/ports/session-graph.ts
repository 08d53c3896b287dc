// The zone's session trees and delegation edges, as the flows need them: one transaction per change, in one lock order.
import type { AgentSessionId, ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import type { AgentSession, SessionState } from '../domain/agent-session.ts';
import type { Caller } from '../domain/caller.ts';
import type { DelegationEdge } from '../domain/delegation-graph.ts';

/** Anchors that refuse every mandate issued before them. */
export interface AnchorDraft {
  readonly kind: 'agent_session' | 'edge';
  readonly anchor: string;
}

/** A state change told to others: lifecycle stream, invalidation stream and ledger, committed with the change. */
export interface SessionChange {
  readonly session: AgentSession;
  readonly transition: 'started' | 'terminated' | 'expired';
  readonly reason: string;
}

/** What an idempotency key stands for once it was used. */
export interface Receipt {
  readonly resultId: string;
  /** SHA-256 of the canonical request; another request under the same key is a conflict. */
  readonly requestDigest: string;
}

export interface CapacityClaim {
  readonly key: string;
  readonly limit: number;
}

/** Who asked and why, for ledger and lifecycle. */
export interface ChangeContext {
  readonly caller: Caller;
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly traceparent: string | undefined;
}

/** `exclusive` waits for every other change of the zone's edges and trees; `shared` lets starts run beside each other. */
export type GraphLock = 'none' | 'shared' | 'exclusive';

export interface Change {
  readonly caller: Caller;
  readonly lock: GraphLock;
  /** Joins what the database itself writes into the ledger to the request. */
  readonly requestId: string;
}

/**
 * Reads and writes of one transaction. What is called without waiting for the call before runs after it all the same.
 * Lock order: graph, receipt, session rows, capacity, epoch, heads, revocation head.
 */
export interface GraphTransaction {
  receipt(operation: string, key: string): Promise<Receipt | undefined>;
  keepReceipt(operation: string, key: string, receipt: Receipt): Promise<void>;
  /** Frees a key whose result came to nothing, so that a repeated call starts anew. */
  forgetReceipt(operation: string, key: string): Promise<void>;
  /** The session, locked against ending until this transaction ends. */
  session(id: AgentSessionId): Promise<AgentSession | undefined>;
  /** Ids from the session's parent up to its root. */
  ancestorIds(id: AgentSessionId): Promise<readonly AgentSessionId[]>;
  /** Stores a session and counts one more under every key; or names a key that is full, and the change must be given up. */
  insertSession(
    session: AgentSession,
    claims: readonly CapacityClaim[],
  ): Promise<{ readonly full: string | undefined }>;
  /** The open sessions of a subtree, the root of it first. */
  openSubtree(id: AgentSessionId): Promise<readonly AgentSession[]>;
  /** Ends open sessions and gives back what they counted for. */
  endSessions(
    sessions: readonly AgentSession[],
    end: { state: Extract<SessionState, 'terminated' | 'expired'>; reason: string; atMs: number },
  ): Promise<void>;
  edge(id: EdgeId): Promise<DelegationEdge | undefined>;
  hasLiveInbound(sessionId: AgentSessionId, nowMs: number): Promise<boolean>;
  /** Whether live edges lead from one session to another, however far. */
  reaches(from: AgentSessionId, to: AgentSessionId, nowMs: number): Promise<boolean>;
  /** Live edges that start at a session; counts no further than `atMost`. */
  countLiveOutbound(sessionId: AgentSessionId, nowMs: number, atMost: number): Promise<number>;
  insertEdge(edge: DelegationEdge): Promise<void>;
  /** Live edges that start or end at one of these sessions, and all derived from them. */
  liveEdgesTouching(sessionIds: readonly AgentSessionId[]): Promise<readonly DelegationEdge[]>;
  /** A live edge and all derived from it; empty when it is not live. */
  liveEdgesBelow(edgeId: EdgeId): Promise<readonly DelegationEdge[]>;
  revokeEdges(edges: readonly DelegationEdge[], atMs: number): Promise<void>;
  /** Lifecycle entries and ledger events of session changes. */
  recordSessions(changes: readonly SessionChange[], context: ChangeContext): Promise<void>;
  /** Ledger events of edge changes. */
  recordEdges(
    edges: readonly DelegationEdge[],
    change: { kind: 'created' | 'revoked'; reason: string },
    context: ChangeContext,
  ): Promise<void>;
  /** Counts the zone's graph epoch up by one. */
  nextEpoch(): Promise<number>;
  /** Tells caches which sessions and edges to read anew. */
  invalidate(change: { epoch: number; sessionIds: readonly string[]; edgeIds: readonly string[] }): Promise<void>;
  /** Writes anchors in one order for the whole installation; the last statement of a transaction. */
  revoke(anchors: readonly AnchorDraft[], reason: string): Promise<number>;
}

export interface SessionPage {
  readonly sessions: readonly AgentSession[];
  readonly nextCursor: string | undefined;
}

export interface EdgePage {
  readonly edges: readonly DelegationEdge[];
  readonly nextCursor: string | undefined;
}

export interface EdgeQuery {
  readonly sessionId: AgentSessionId;
  /** Edges that lead to the session, or that start at it. */
  readonly direction: 'inbound' | 'outbound';
  readonly limit: number;
  readonly cursor: string | undefined;
}

export interface SessionQuery {
  /** Undefined for all applications of the zone. */
  readonly applicationId: ApplicationId | undefined;
  /** Only children of this session. */
  readonly parentId?: AgentSessionId | undefined;
  readonly states: readonly SessionState[];
  readonly limit: number;
  readonly cursor: string | undefined;
}

/**
 * Promise: nothing of a change is visible unless all of it committed; a caller whose mandate is revoked is refused with
 * `token_revoked` before anything is read or written; a database that cannot be reached is `store_unavailable`.
 */
export interface SessionGraph {
  change<T>(change: Change, work: (tx: GraphTransaction) => Promise<T>): Promise<T>;
  find(caller: Caller, id: AgentSessionId): Promise<AgentSession | undefined>;
  list(caller: Caller, query: SessionQuery): Promise<SessionPage>;
  /** Newest first. */
  listEdges(caller: Caller, query: EdgeQuery): Promise<EdgePage>;
  /** Zones and ids of open sessions past their expiry, oldest first, at most `limit`. */
  overdue(limit: number): Promise<readonly { zoneId: ZoneId; sessionId: AgentSessionId }[]>;
}
