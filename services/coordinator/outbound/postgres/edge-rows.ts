// Rows of coordinator.delegation_edges and the statements on them. Reachability is over sets of nodes, without a depth cut:
// a dense graph costs its nodes, never its paths.
import type { Transaction } from '#mesh/postgres';
import type { AgentSessionId, ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import type { DelegationEdge, EdgeState } from '../../domain/delegation-graph.ts';
import type { EdgePage, EdgeQuery } from '../../ports/session-graph.ts';
import { cursorTime, pageOf, parseCursor } from './page-cursor.ts';

interface EdgeRow {
  readonly id: string;
  readonly zone_id: string;
  readonly source_session_id: string;
  readonly target_session_id: string;
  readonly issuer_application_id: string;
  readonly receiver_application_id: string;
  readonly parent_edge_id: string | null;
  readonly scopes: string[];
  readonly resources: string[];
  readonly max_hops: number;
  readonly ttl_seconds: number | null;
  readonly state: string;
  readonly created_at: Date;
  readonly expires_at: Date;
}

const columns = `id, zone_id, source_session_id, target_session_id, issuer_application_id, receiver_application_id,
  parent_edge_id, scopes, resources, max_hops, ttl_seconds, state, created_at, expires_at`;

function fromRow(row: EdgeRow): DelegationEdge {
  return {
    id: row.id as EdgeId,
    zoneId: row.zone_id as ZoneId,
    sourceSessionId: row.source_session_id as AgentSessionId,
    targetSessionId: row.target_session_id as AgentSessionId,
    issuerApplicationId: row.issuer_application_id as ApplicationId,
    receiverApplicationId: row.receiver_application_id as ApplicationId,
    parentEdgeId: (row.parent_edge_id ?? undefined) as EdgeId | undefined,
    scopes: row.scopes,
    resources: row.resources,
    maxHops: row.max_hops,
    ttlSeconds: row.ttl_seconds ?? undefined,
    state: row.state as EdgeState,
    createdAtMs: row.created_at.getTime(),
    expiresAtMs: row.expires_at.getTime(),
  };
}

export async function selectEdge(tx: Transaction, id: string): Promise<DelegationEdge | undefined> {
  const row = await tx.one<EdgeRow>(`SELECT ${columns} FROM coordinator.delegation_edges WHERE id = $1`, [id]);
  return row === undefined ? undefined : fromRow(row);
}

export async function existsLiveInbound(tx: Transaction, sessionId: string, nowMs: number): Promise<boolean> {
  const row = await tx.one<{ found: boolean }>(
    `SELECT EXISTS (SELECT FROM coordinator.delegation_edges
       WHERE target_session_id = $1 AND state = 'active' AND expires_at > $2) AS found`,
    [sessionId, new Date(nowMs)],
  );
  return row?.found ?? false;
}

/** Counts no further than `atMost`, so that the answer costs no more than the question needs. */
export async function countLiveOutbound(
  tx: Transaction,
  source: { sessionId: string; atMost: number },
  nowMs: number,
): Promise<number> {
  const row = await tx.one<{ found: number }>(
    `SELECT count(*)::int AS found FROM (
       SELECT FROM coordinator.delegation_edges
       WHERE source_session_id = $1 AND state IN ('active', 'pending') AND expires_at > $2 LIMIT $3) AS live`,
    [source.sessionId, new Date(nowMs), source.atMost],
  );
  return row?.found ?? 0;
}

/** Newest first by (created_at, id). */
export async function selectEdgePage(tx: Transaction, query: EdgeQuery): Promise<EdgePage> {
  const after = parseCursor(query.cursor);
  const end = query.direction === 'inbound' ? 'target_session_id' : 'source_session_id';
  const rows = await tx.query<EdgeRow & { cursor_time: string }>(
    `SELECT ${columns}, ${cursorTime('created_at')}
     FROM coordinator.delegation_edges
     WHERE ${end} = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::text))
     ORDER BY created_at DESC, id DESC
     LIMIT $4`,
    [query.sessionId, after?.time ?? null, after?.id ?? null, query.limit + 1],
  );
  const { page, nextCursor } = pageOf(rows, query.limit);
  return { edges: page.map(fromRow), nextCursor };
}

export async function existsPath(tx: Transaction, ends: { from: string; to: string }, nowMs: number): Promise<boolean> {
  const row = await tx.one<{ found: boolean }>(
    `WITH RECURSIVE reached AS (
       SELECT $1::text AS session_id
       UNION
       SELECT e.target_session_id FROM reached AS r, LATERAL (
         SELECT target_session_id FROM coordinator.delegation_edges
         WHERE source_session_id = r.session_id AND state IN ('active', 'pending') AND expires_at > $3 OFFSET 0) AS e
     )
     SELECT EXISTS (SELECT FROM reached WHERE session_id = $2) AS found`,
    [ends.from, ends.to, new Date(nowMs)],
  );
  return row?.found ?? false;
}

export async function insertEdge(tx: Transaction, edge: DelegationEdge): Promise<void> {
  await tx.execute(
    `INSERT INTO coordinator.delegation_edges (${columns})
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      edge.id,
      edge.zoneId,
      edge.sourceSessionId,
      edge.targetSessionId,
      edge.issuerApplicationId,
      edge.receiverApplicationId,
      edge.parentEdgeId ?? null,
      edge.scopes,
      edge.resources,
      edge.maxHops,
      edge.ttlSeconds ?? null,
      edge.state,
      new Date(edge.createdAtMs),
      new Date(edge.expiresAtMs),
    ],
  );
}

/** Live edges with an end in one of the sessions, and every live edge derived from those. */
export async function selectLiveTouching(tx: Transaction, sessionIds: readonly string[]): Promise<DelegationEdge[]> {
  const end = (column: string): string =>
    `SELECT e.id FROM unnest($1::text[]) AS s (id),
       LATERAL (SELECT id FROM coordinator.delegation_edges WHERE ${column} = s.id OFFSET 0) AS e`;
  return selectWithDerived(tx, `${end('source_session_id')} UNION ${end('target_session_id')}`, [sessionIds]);
}

/** The edge and every live edge derived from it. */
export async function selectLiveBelow(tx: Transaction, edgeId: string): Promise<DelegationEdge[]> {
  return selectWithDerived(tx, 'SELECT id FROM coordinator.delegation_edges WHERE id = $1', [edgeId]);
}

async function selectWithDerived(
  tx: Transaction,
  start: string,
  values: readonly unknown[],
): Promise<DelegationEdge[]> {
  const rows = await tx.query<EdgeRow>(
    `WITH RECURSIVE started AS (${start}), affected AS (
       SELECT id FROM started
       UNION
       SELECT e.id FROM affected AS a,
         LATERAL (SELECT id FROM coordinator.delegation_edges WHERE parent_edge_id = a.id OFFSET 0) AS e
     )
     SELECT e.* FROM affected AS a, LATERAL (
       SELECT ${columns} FROM coordinator.delegation_edges
       WHERE id = a.id AND state IN ('active', 'pending') OFFSET 0) AS e
     ORDER BY e.created_at, e.id`,
    values,
  );
  return rows.map(fromRow);
}

export async function updateRevoked(tx: Transaction, ids: readonly string[], atMs: number): Promise<void> {
  if (ids.length === 0) return;
  await tx.execute(`UPDATE coordinator.delegation_edges SET state = 'revoked', revoked_at = $2 WHERE id = ANY ($1)`, [
    ids,
    new Date(atMs),
  ]);
}
