// The session graph in Postgres: one zone-bound transaction per change, opened by the check that the caller's mandate is
// not revoked, closed by the anchors of what the change ended.
import { fail } from '#mesh/failure';
import type { AgentSessionId, ZoneId } from '#mesh/ids';
import { enqueueNumbered } from '#mesh/outbox';
import type { Database, ZoneTransaction } from '#mesh/postgres';
import type { Caller } from '../../domain/caller.ts';
import type { AnchorDraft, GraphLock, GraphTransaction, SessionGraph } from '../../ports/session-graph.ts';
import {
  countLiveOutbound,
  existsLiveInbound,
  existsPath,
  insertEdge,
  selectEdge,
  selectEdgePage,
  selectLiveBelow,
  selectLiveTouching,
  updateRevoked,
} from './edge-rows.ts';
import { recordEdges, recordSessions } from './graph-events.ts';
import { deleteReceipt, insertReceipt, selectReceipt } from './receipt-rows.ts';
import {
  insertSession,
  selectAncestorIds,
  selectOpenSubtree,
  selectPage,
  selectSession,
  updateEnded,
} from './session-rows.ts';

export function createSessionGraph(database: Database): SessionGraph {
  const read = <T>(caller: Caller, work: (tx: ZoneTransaction) => Promise<T>): Promise<T> =>
    database.inZone(caller.zoneId, async (tx) => {
      await open(tx, caller, 'none');
      return work(tx);
    });
  return {
    change: ({ caller, lock, requestId }, work) =>
      database.inZone(
        caller.zoneId,
        async (tx) => {
          await open(tx, caller, lock);
          return work(graphTransaction(tx));
        },
        { requestId },
      ),
    find: (caller, id) => read(caller, (tx) => selectSession(tx, id, false)),
    list: (caller, query) => read(caller, (tx) => selectPage(tx, query)),
    listEdges: (caller, query) => read(caller, (tx) => selectEdgePage(tx, query)),
    overdue: (limit) =>
      database.acrossZones(async (tx) => {
        const rows = await tx.query<{ id: string; zone_id: string }>(
          `SELECT id, zone_id FROM coordinator.agent_sessions
           WHERE state IN ('active', 'suspended') AND expires_at <= clock_timestamp()
           ORDER BY expires_at LIMIT $1`,
          [limit],
        );
        return rows.map((row) => ({ zoneId: row.zone_id as ZoneId, sessionId: row.id as AgentSessionId }));
      }),
  };
}

const lockFunctions = { shared: 'pg_advisory_xact_lock_shared', exclusive: 'pg_advisory_xact_lock' } as const;

/**
 * The first statement of every transaction: refuses a caller whose mandate a committed anchor hits (the Coordinator keeps no
 * copy of them), and waits for the graph. What the wait has let others change is seen by the statements after it.
 */
async function open(tx: ZoneTransaction, caller: Caller, lock: GraphLock): Promise<void> {
  const parts: string[] = [];
  const values: unknown[] = [];
  if (caller.kind === 'mandate') {
    parts.push('sts_pub.refuses($1, $2, $3) AS refused');
    values.push(caller.zoneId, caller.rev, caller.anchorIds);
  }
  if (lock !== 'none') {
    values.push(`coordinator.graph ${tx.zoneId}`);
    parts.push(`${lockFunctions[lock]}(hashtextextended($${values.length}, 0))`);
  }
  if (parts.length === 0) return;
  const row = await tx.one<{ refused?: boolean }>(`SELECT ${parts.join(', ')}`, values);
  if (caller.kind === 'mandate' && row?.refused !== false) throw fail('token_revoked');
}

function graphTransaction(tx: ZoneTransaction): GraphTransaction {
  return {
    receipt: (operation, key) => selectReceipt(tx, operation, key),
    keepReceipt: (operation, key, receipt) => insertReceipt(tx, { operation, key, receipt }),
    forgetReceipt: (operation, key) => deleteReceipt(tx, operation, key),
    session: (id) => selectSession(tx, id, true),
    ancestorIds: (id) => selectAncestorIds(tx, id),
    insertSession: (session, claims) => insertSession(tx, session, claims),
    openSubtree: (id) => selectOpenSubtree(tx, id),
    endSessions: (sessions, end) => updateEnded(tx, sessions, end),
    edge: (id) => selectEdge(tx, id),
    hasLiveInbound: (sessionId, nowMs) => existsLiveInbound(tx, sessionId, nowMs),
    reaches: (from, to, nowMs) => existsPath(tx, { from, to }, nowMs),
    countLiveOutbound: (sessionId, nowMs, atMost) => countLiveOutbound(tx, { sessionId, atMost }, nowMs),
    insertEdge: (edge) => insertEdge(tx, edge),
    liveEdgesTouching: (sessionIds) => selectLiveTouching(tx, sessionIds),
    liveEdgesBelow: (edgeId) => selectLiveBelow(tx, edgeId),
    revokeEdges: (edges, atMs) =>
      updateRevoked(
        tx,
        edges.map((edge) => edge.id),
        atMs,
      ),
    recordSessions: (changes, context) => recordSessions(tx, changes, context),
    recordEdges: (edges, change, context) => recordEdges(tx, { edges, ...change }, context),
    nextEpoch: () => nextEpoch(tx),
    invalidate: async (change) => {
      await enqueueNumbered(tx, {
        stream: 'caracal.delegations.invalidate',
        zoneId: tx.zoneId,
        payload: {
          zoneId: tx.zoneId,
          epoch: change.epoch,
          sessionIds: [...change.sessionIds],
          edgeIds: [...change.edgeIds],
        },
      });
    },
    revoke: (anchors, reason) => revoke(tx, anchors, reason),
  };
}

async function nextEpoch(tx: ZoneTransaction): Promise<number> {
  const row = await tx.one<{ epoch: string }>(
    `INSERT INTO coordinator.graph_epochs AS g (zone_id, epoch) VALUES ($1, 1)
     ON CONFLICT (zone_id) DO UPDATE SET epoch = g.epoch + 1
     RETURNING epoch`,
    [tx.zoneId],
  );
  return Number(row?.epoch);
}

async function revoke(tx: ZoneTransaction, anchors: readonly AnchorDraft[], reason: string): Promise<number> {
  const row = await tx.one<{ number: string }>('SELECT sts_pub.revoke($1, $2, $3) AS number', [
    tx.zoneId,
    JSON.stringify(anchors),
    reason,
  ]);
  return Number(row?.number);
}
