// The session graph in Postgres: one zone-bound transaction per change, opened by the check that the caller's mandate is
// not revoked, closed by the anchors of what the change ended.
import { fail } from '#mesh/failure';
import type { AgentSessionId, ZoneId } from '#mesh/ids';
import { enqueueNumbered } from '#mesh/outbox';
import type { Database, ZoneTransaction } from '#mesh/postgres';
import type { Caller } from '../../domain/caller.ts';
import type { AnchorDraft, GraphTransaction, SessionGraph } from '../../ports/session-graph.ts';
import { claimCapacity, releaseCapacity } from './capacity-rows.ts';
import {
  existsLiveInbound,
  existsPath,
  insertEdge,
  selectEdge,
  selectLiveBelow,
  selectLiveTouching,
  updateRevoked,
} from './edge-rows.ts';
import { recordEdges, recordSessions } from './graph-events.ts';
import { insertReceipt, selectReceipt } from './receipt-rows.ts';
import {
  insertSession,
  selectAncestorIds,
  selectOpenSubtree,
  selectPage,
  selectSession,
  updateEnded,
} from './session-rows.ts';

/** First key of the advisory locks of this service; the second is the zone. */
const graphLockClass = 'coordinator.graph';

export function createSessionGraph(database: Database): SessionGraph {
  const inZone = <T>(caller: Caller, work: (tx: ZoneTransaction) => Promise<T>): Promise<T> =>
    database.inZone(caller.zoneId, async (tx) => {
      await refuseRevoked(tx, caller);
      return work(tx);
    });
  return {
    change: (caller, work) => inZone(caller, (tx) => work(graphTransaction(tx))),
    find: (caller, id) => inZone(caller, (tx) => selectSession(tx, id, false)),
    list: (caller, query) => inZone(caller, (tx) => selectPage(tx, query)),
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

/** A committed anchor is effective here at once: the Coordinator keeps no copy of them. */
async function refuseRevoked(tx: ZoneTransaction, caller: Caller): Promise<void> {
  if (caller.kind === 'control-plane') return;
  const row = await tx.one<{ refused: boolean }>('SELECT sts_pub.refuses($1, $2, $3) AS refused', [
    caller.zoneId,
    caller.rev,
    caller.anchorIds,
  ]);
  if (row?.refused !== false) throw fail('token_revoked');
}

function graphTransaction(tx: ZoneTransaction): GraphTransaction {
  return {
    lockGraph: async (mode) => {
      const lock = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock';
      await tx.query(`SELECT ${lock}(hashtext($1), hashtext($2))`, [graphLockClass, tx.zoneId]);
    },
    receipt: (operation, key) => selectReceipt(tx, operation, key),
    keepReceipt: (operation, key, receipt) => insertReceipt(tx, { operation, key, receipt }),
    session: (id) => selectSession(tx, id, true),
    ancestorIds: (id) => selectAncestorIds(tx, id),
    insertSession: (session) => insertSession(tx, session),
    claimCapacity: (claims) => claimCapacity(tx, tx.zoneId, claims),
    openSubtree: (id) => selectOpenSubtree(tx, id),
    endSessions: async (sessions, end) => {
      await updateEnded(
        tx,
        sessions.map((session) => session.id),
        end,
      );
      await releaseCapacity(tx, tx.zoneId, sessions);
    },
    edge: (id) => selectEdge(tx, id),
    hasLiveInbound: (sessionId, nowMs) => existsLiveInbound(tx, sessionId, nowMs),
    reaches: (from, to, nowMs) => existsPath(tx, { from, to }, nowMs),
    insertEdge: (edge) => insertEdge(tx, edge),
    liveEdgesTouching: (sessionIds) => selectLiveTouching(tx, sessionIds),
    liveEdgesBelow: (edgeId) => selectLiveBelow(tx, edgeId),
    revokeEdges: (edges, atMs) =>
      updateRevoked(
        tx,
        edges.map((edge) => edge.id),
        atMs,
      ),
    nextEpoch: () => nextEpoch(tx),
    recordSessions: (changes, context) => recordSessions(tx, changes, context),
    recordEdges: (edges, change, context) => recordEdges(tx, { edges, ...change }, context),
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
