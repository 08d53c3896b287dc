// Rows of coordinator.agent_sessions and the statements on them.
import type { Transaction, ZoneTransaction } from '#mesh/postgres';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import type { AgentSession, SessionState } from '../../domain/agent-session.ts';
import type { CapacityClaim, SessionPage, SessionQuery } from '../../ports/session-graph.ts';
import { claimStatement, releaseOf, releaseStatements, sortedClaims } from './capacity-rows.ts';
import { cursorTime, pageOf, parseCursor } from './page-cursor.ts';

interface SessionRow {
  readonly id: string;
  readonly zone_id: string;
  readonly application_id: string;
  readonly parent_id: string | null;
  readonly root_id: string;
  readonly state: string;
  readonly depth: number;
  readonly scopes: string[];
  readonly resources: string[];
  readonly client_id: string;
  readonly sid: string;
  readonly pass_lifecycle: boolean;
  readonly labels: Record<string, string>;
  readonly started_at: Date;
  readonly expires_at: Date;
  readonly ended_at: Date | null;
  readonly transitions: string;
}

const columns = `id, zone_id, application_id, parent_id, root_id, state, depth, scopes, resources, client_id, sid,
  pass_lifecycle, labels, started_at, expires_at, ended_at, transitions`;

function fromRow(row: SessionRow): AgentSession {
  return {
    id: row.id as AgentSessionId,
    zoneId: row.zone_id as ZoneId,
    applicationId: row.application_id as ApplicationId,
    parentId: (row.parent_id ?? undefined) as AgentSessionId | undefined,
    rootId: row.root_id as AgentSessionId,
    kind: 'instance',
    state: row.state as SessionState,
    depth: row.depth,
    scopes: row.scopes,
    resources: row.resources,
    clientId: row.client_id,
    sessionRecordId: row.sid,
    passLifecycle: row.pass_lifecycle,
    labels: row.labels,
    startedAtMs: row.started_at.getTime(),
    expiresAtMs: row.expires_at.getTime(),
    endedAtMs: row.ended_at?.getTime(),
    transitions: Number(row.transitions),
  };
}

/** The session; with `lock`, no other transaction ends it before this one is over. */
export async function selectSession(tx: Transaction, id: string, lock: boolean): Promise<AgentSession | undefined> {
  const row = await tx.one<SessionRow>(
    `SELECT ${columns} FROM coordinator.agent_sessions WHERE id = $1${lock ? ' FOR SHARE' : ''}`,
    [id],
  );
  return row === undefined ? undefined : fromRow(row);
}

/** Parent first, root last. Depth is bounded by the limits of a start. */
export async function selectAncestorIds(tx: Transaction, id: string): Promise<AgentSessionId[]> {
  const rows = await tx.query<{ id: string }>(
    `WITH RECURSIVE up AS (
       SELECT parent_id, 1 AS step FROM coordinator.agent_sessions WHERE id = $1
       UNION ALL
       SELECT s.parent_id, up.step + 1
       FROM up, LATERAL (SELECT parent_id FROM coordinator.agent_sessions WHERE id = up.parent_id OFFSET 0) AS s
     )
     SELECT parent_id AS id FROM up WHERE parent_id IS NOT NULL ORDER BY step`,
    [id],
  );
  return rows.map((row) => row.id as AgentSessionId);
}

/** Stores the session and counts it in one statement; stores nothing when a key is full, and names that key. */
export async function insertSession(
  tx: Transaction,
  session: AgentSession,
  claims: readonly CapacityClaim[],
): Promise<{ full: string | undefined }> {
  const sorted = sortedClaims(claims);
  const rows = await tx.query<{ key: string }>(
    `WITH claimed AS (${claimStatement('$2', '$18', '$19')}), started AS (
       INSERT INTO coordinator.agent_sessions
         (id, zone_id, application_id, parent_id, root_id, kind, state, depth, scopes, resources, client_id, sid,
          pass_lifecycle, labels, started_at, expires_at, transitions)
       SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::int, $9::text[], $10::text[],
         $11::text, $12::text, $13::boolean, $14::jsonb, $15::timestamptz, $16::timestamptz, $17::bigint
       WHERE (SELECT count(*) FROM claimed) = cardinality($18::text[])
     )
     SELECT key FROM claimed`,
    [...valuesOf(session), sorted.map((claim) => claim.key), sorted.map((claim) => claim.limit)],
  );
  const taken = new Set(rows.map((row) => row.key));
  return { full: claims.find((claim) => !taken.has(claim.key))?.key };
}

function valuesOf(session: AgentSession): readonly unknown[] {
  return [
    session.id,
    session.zoneId,
    session.applicationId,
    session.parentId ?? null,
    session.rootId,
    session.kind,
    session.state,
    session.depth,
    session.scopes,
    session.resources,
    session.clientId,
    session.sessionRecordId,
    session.passLifecycle,
    JSON.stringify(session.labels),
    new Date(session.startedAtMs),
    new Date(session.expiresAtMs),
    session.transitions,
  ];
}

/**
 * Open sessions at and below one, found by parent links, the top first. OFFSET 0 here and in the edges' statements keeps each
 * step a look-up in an index: joined freely, a plan made while the table was small would read all of it ever after.
 */
export async function selectOpenSubtree(tx: Transaction, id: string): Promise<AgentSession[]> {
  const rows = await tx.query<SessionRow>(
    `WITH RECURSIVE tree AS (
       SELECT ${columns} FROM coordinator.agent_sessions WHERE id = $1
       UNION ALL
       SELECT s.* FROM tree,
         LATERAL (SELECT ${columns} FROM coordinator.agent_sessions WHERE parent_id = tree.id OFFSET 0) AS s
     )
     SELECT ${columns} FROM tree WHERE state IN ('active', 'suspended') ORDER BY depth, id`,
    [id],
  );
  return rows.map(fromRow);
}

/** Ends the sessions and gives back what they counted for, in one statement. */
export async function updateEnded(
  tx: ZoneTransaction,
  sessions: readonly AgentSession[],
  end: { state: string; reason: string; atMs: number },
): Promise<void> {
  const { keys, counts, dropped } = releaseOf(sessions);
  await tx.execute(
    `WITH ${releaseStatements({ zone: '$5', keys: '$6', counts: '$7', dropped: '$8' })}
     UPDATE coordinator.agent_sessions
     SET state = $2, end_reason = $3, ended_at = $4, transitions = transitions + 1
     WHERE id = ANY ($1)`,
    [
      sessions.map((session) => session.id),
      end.state,
      end.reason,
      new Date(end.atMs),
      tx.zoneId,
      keys,
      counts,
      dropped,
    ],
  );
}

/** Newest first by (started_at, id). */
export async function selectPage(tx: Transaction, query: SessionQuery): Promise<SessionPage> {
  const after = parseCursor(query.cursor);
  const rows = await tx.query<SessionRow & { cursor_time: string }>(
    `SELECT ${columns}, ${cursorTime('started_at')}
     FROM coordinator.agent_sessions
     WHERE ($1::text IS NULL OR application_id = $1)
       AND ($2::text IS NULL OR parent_id = $2)
       AND (cardinality($3::text[]) = 0 OR state = ANY ($3))
       AND ($4::timestamptz IS NULL OR (started_at, id) < ($4::timestamptz, $5::text))
     ORDER BY started_at DESC, id DESC
     LIMIT $6`,
    [
      query.applicationId ?? null,
      query.parentId ?? null,
      query.states,
      after?.time ?? null,
      after?.id ?? null,
      query.limit + 1,
    ],
  );
  const { page, nextCursor } = pageOf(rows, query.limit);
  return { sessions: page.map(fromRow), nextCursor };
}
