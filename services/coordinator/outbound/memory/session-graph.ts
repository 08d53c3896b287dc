// The session graph in memory, for flow tests. It passes the same contract suite as the Postgres one: a change that throws
// leaves nothing, changes run one after another.
import { fail } from '#mesh/failure';
import type { AgentSessionId } from '#mesh/ids';
import { type AgentSession, isOpen } from '../../domain/agent-session.ts';
import type { Caller } from '../../domain/caller.ts';
import type { DelegationEdge } from '../../domain/delegation-graph.ts';
import type {
  AnchorDraft,
  ChangeContext,
  GraphTransaction,
  Receipt,
  SessionChange,
  SessionGraph,
} from '../../ports/session-graph.ts';

interface Told {
  sessions: { change: SessionChange; context: ChangeContext }[];
  edges: { edge: DelegationEdge; kind: 'created' | 'revoked' }[];
  anchors: AnchorDraft[];
}

interface State {
  sessions: Map<string, AgentSession>;
  edges: Map<string, DelegationEdge>;
  capacity: Map<string, number>;
  receipts: Map<string, Receipt>;
  epoch: number;
  revocations: number;
  told: Told;
}

export interface MemorySessionGraph extends SessionGraph {
  /** What committed changes told others. */
  readonly told: () => Told;
  /** Mandates with one of these ids are refused from now on. */
  refuse(anchorId: string): void;
}

const isLiveEdge = (edge: DelegationEdge): boolean => edge.state === 'active' || edge.state === 'pending';

function openCapacityKeys(session: AgentSession): string[] {
  const keys = ['zone', `application:${session.applicationId}`];
  return session.parentId === undefined ? keys : [...keys, `children:${session.parentId}`];
}

export function createMemorySessionGraph(): MemorySessionGraph {
  let state: State = {
    sessions: new Map(),
    edges: new Map(),
    capacity: new Map(),
    receipts: new Map(),
    epoch: 0,
    revocations: 0,
    told: { sessions: [], edges: [], anchors: [] },
  };
  const refused = new Set<string>();
  let turn: Promise<unknown> = Promise.resolve();

  const guard = (caller: Caller): void => {
    if (caller.kind === 'mandate' && caller.anchorIds.some((id) => refused.has(id))) throw fail('token_revoked');
  };
  return {
    told: () => state.told,
    refuse: (id) => void refused.add(id),
    change: ({ caller }, work) => {
      const run = async () => {
        guard(caller);
        const draft = structuredClone(state);
        const result = await work(memoryTransaction(draft, caller.zoneId));
        state = draft;
        return result;
      };
      const mine = turn.then(run, run);
      turn = mine.catch(() => undefined);
      return mine;
    },
    find: async (caller, id) => {
      guard(caller);
      const session = state.sessions.get(id);
      return session?.zoneId === caller.zoneId ? session : undefined;
    },
    ...reads(() => state, guard),
  };
}

type Reads = Pick<SessionGraph, 'list' | 'listEdges' | 'overdue'>;

function reads(now: () => State, guard: (caller: Caller) => void): Reads {
  return {
    list: async (caller, query) => {
      guard(caller);
      const found = [...now().sessions.values()]
        .filter((session) => session.zoneId === caller.zoneId)
        .filter((session) => query.applicationId === undefined || session.applicationId === query.applicationId)
        .filter((session) => query.parentId === undefined || session.parentId === query.parentId)
        .filter((session) => query.states.length === 0 || query.states.includes(session.state))
        .toSorted((a, b) => b.startedAtMs - a.startedAtMs || (a.id < b.id ? 1 : -1));
      const { page, nextCursor } = pageOf(found, query);
      return { sessions: page, nextCursor };
    },
    listEdges: async (caller, query) => {
      guard(caller);
      const end = query.direction === 'inbound' ? 'targetSessionId' : 'sourceSessionId';
      const found = [...now().edges.values()]
        .filter((edge) => edge.zoneId === caller.zoneId && edge[end] === query.sessionId)
        .toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1));
      const { page, nextCursor } = pageOf(found, query);
      return { edges: page, nextCursor };
    },
    overdue: async (limit) =>
      [...now().sessions.values()]
        .filter((session) => isOpen(session) && session.expiresAtMs <= Date.now())
        .slice(0, limit)
        .map((session) => ({ zoneId: session.zoneId, sessionId: session.id })),
  };
}

function pageOf<T extends { readonly id: string }>(
  found: readonly T[],
  { limit, cursor }: { limit: number; cursor: string | undefined },
): { page: readonly T[]; nextCursor: string | undefined } {
  const from = cursor === undefined ? 0 : found.findIndex(({ id }) => id === cursor) + 1;
  const page = found.slice(from, from + limit);
  return { page, nextCursor: from + limit < found.length ? page.at(-1)?.id : undefined };
}

function memoryTransaction(state: State, zoneId: string): GraphTransaction {
  return { ...sessionPart(state, zoneId), ...edgePart(state), ...toldPart(state) };
}

type SessionPart =
  | 'receipt'
  | 'keepReceipt'
  | 'forgetReceipt'
  | 'session'
  | 'ancestorIds'
  | 'insertSession'
  | 'openSubtree'
  | 'endSessions';

function sessionPart(state: State, zoneId: string): Pick<GraphTransaction, SessionPart> {
  const inZone = (id: string): AgentSession | undefined => {
    const session = state.sessions.get(id);
    return session?.zoneId === zoneId ? session : undefined;
  };
  return {
    receipt: async (operation, key) => state.receipts.get(`${zoneId} ${operation} ${key}`),
    keepReceipt: async (operation, key, receipt) => void state.receipts.set(`${zoneId} ${operation} ${key}`, receipt),
    forgetReceipt: async (operation, key) => void state.receipts.delete(`${zoneId} ${operation} ${key}`),
    session: async (id) => inZone(id),
    ancestorIds: async (id) => {
      const ids: AgentSessionId[] = [];
      for (let at = inZone(id)?.parentId; at !== undefined; at = inZone(at)?.parentId) ids.push(at);
      return ids;
    },
    insertSession: async (session, claims) => {
      const full = claims.find((claim) => (state.capacity.get(`${zoneId} ${claim.key}`) ?? 0) >= claim.limit)?.key;
      if (full !== undefined) return { full };
      for (const { key } of claims)
        state.capacity.set(`${zoneId} ${key}`, (state.capacity.get(`${zoneId} ${key}`) ?? 0) + 1);
      state.sessions.set(session.id, session);
      return { full };
    },
    openSubtree: async (id) => {
      const tree: AgentSession[] = [];
      const queue = [inZone(id)];
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const parent = next;
        if (isOpen(parent)) tree.push(parent);
        queue.push(...[...state.sessions.values()].filter((session) => session.parentId === parent.id));
      }
      return tree;
    },
    endSessions: async (sessions, end) => {
      for (const session of sessions) {
        state.sessions.set(session.id, {
          ...session,
          state: end.state,
          endedAtMs: end.atMs,
          transitions: session.transitions + 1,
        });
        for (const key of openCapacityKeys(session)) {
          state.capacity.set(`${zoneId} ${key}`, Math.max(0, (state.capacity.get(`${zoneId} ${key}`) ?? 0) - 1));
        }
      }
    },
  };
}

type ToldPart = 'nextEpoch' | 'recordSessions' | 'recordEdges' | 'invalidate' | 'revoke';

function edgePart(state: State): Omit<GraphTransaction, SessionPart | ToldPart> {
  const derived = (start: (edge: DelegationEdge) => boolean): DelegationEdge[] => {
    const all = [...state.edges.values()];
    const ids = new Set(all.filter(start).map((edge) => edge.id));
    for (let size = -1; size !== ids.size;) {
      size = ids.size;
      for (const edge of all) if (edge.parentEdgeId !== undefined && ids.has(edge.parentEdgeId)) ids.add(edge.id);
    }
    return all.filter((edge) => ids.has(edge.id) && isLiveEdge(edge));
  };
  return {
    edge: async (id) => state.edges.get(id),
    hasLiveInbound: async (sessionId, nowMs) =>
      [...state.edges.values()].some(
        (edge) => edge.targetSessionId === sessionId && edge.state === 'active' && edge.expiresAtMs > nowMs,
      ),
    reaches: async (from, to, nowMs) => {
      const reached = new Set<string>([from]);
      for (const id of reached) {
        for (const edge of state.edges.values()) {
          if (edge.sourceSessionId === id && isLiveEdge(edge) && edge.expiresAtMs > nowMs)
            reached.add(edge.targetSessionId);
        }
      }
      return reached.has(to);
    },
    countLiveOutbound: async (sessionId, nowMs, atMost) =>
      [...state.edges.values()]
        .filter((edge) => edge.sourceSessionId === sessionId && isLiveEdge(edge) && edge.expiresAtMs > nowMs)
        .slice(0, atMost).length,
    insertEdge: async (edge) => void state.edges.set(edge.id, edge),
    liveEdgesTouching: async (sessionIds) => {
      const ids = new Set<string>(sessionIds);
      return derived((edge) => ids.has(edge.sourceSessionId) || ids.has(edge.targetSessionId));
    },
    liveEdgesBelow: async (edgeId) => derived((edge) => edge.id === edgeId),
    revokeEdges: async (edges) => {
      for (const edge of edges) state.edges.set(edge.id, { ...edge, state: 'revoked' });
    },
  };
}

function toldPart(state: State): Pick<GraphTransaction, ToldPart> {
  return {
    recordSessions: async (changes, context) =>
      void state.told.sessions.push(...changes.map((change) => ({ change, context }))),
    recordEdges: async (edges, change) =>
      void state.told.edges.push(...edges.map((edge) => ({ edge, kind: change.kind }))),
    nextEpoch: async () => ++state.epoch,
    invalidate: async () => undefined,
    revoke: async (anchors) => {
      state.told.anchors.push(...anchors);
      state.revocations += anchors.length;
      return state.revocations;
    },
  };
}
