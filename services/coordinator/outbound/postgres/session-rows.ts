// Rows of coordinator.agent_sessions and the statements on them.
import type { Transaction } from '#mesh/postgres';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import type { AgentSession, SessionState } from '../../domain/agent-session.ts';
import type { SessionPage, SessionQuery } from '../../ports/session-graph.ts';

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
       SELECT s.parent_id, up.step + 1 FROM coordinator.agent_sessions s JOIN up ON s.id = up.parent_id
     )
     SELECT parent_id AS id FROM up WHERE parent_id IS NOT NULL ORDER BY step`,
    [id],
  );
  return rows.map((row) => row.id as AgentSessionId);
}

export async function insertSession(tx: Transaction, session: AgentSession): Promise<void> {
  await tx.execute(
    `INSERT INTO coordinator.agent_sessions
       (id, zone_id, application_id, parent_id, root_id, kind, state, depth, scopes, resources, client_id, sid,
        pass_lifecycle, labels, started_at, expires_at, transitions)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
    [
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
    ],
  );
}

/** Open sessions at and below one, found by parent links, the top first. */
export async function selectOpenSubtree(tx: Transaction, id: string): Promise<AgentSession[]> {
  const rows = await tx.query<SessionRow>(
    `WITH RECURSIVE tree AS (
       SELECT id FROM coordinator.agent_sessions WHERE id = $1
       UNION
       SELECT s.id FROM coordinator.agent_sessions s JOIN tree ON s.parent_id = tree.id
     )
     SELECT ${columns} FROM coordinator.agent_sessions
     WHERE id IN (SELECT id FROM tree) AND state IN ('active', 'suspended')
     ORDER BY depth, id`,
    [id],
  );
  return rows.map(fromRow);
}

export async function updateEnded(
  tx: Transaction,
  ids: readonly string[],
  end: { state: string; reason: string; atMs: number },
): Promise<void> {
  await tx.execute(
    `UPDATE coordinator.agent_sessions
     SET state = $2, end_reason = $3, ended_at = $4, transitions = transitions + 1
     WHERE id = ANY ($1)`,
    [ids, end.state, end.reason, new Date(end.atMs)],
  );
}

/** Newest first by (started_at, id); the cursor carries microseconds, so that no row is skipped. */
export async function selectPage(tx: Transaction, query: SessionQuery): Promise<SessionPage> {
  const after = parseCursor(query.cursor);
  const rows = await tx.query<SessionRow & { cursor_time: string }>(
    `SELECT ${columns}, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cursor_time
     FROM coordinator.agent_sessions
     WHERE ($1::text IS NULL OR application_id = $1)
       AND (cardinality($2::text[]) = 0 OR state = ANY ($2))
       AND ($3::timestamptz IS NULL OR (started_at, id) < ($3::timestamptz, $4::text))
     ORDER BY started_at DESC, id DESC
     LIMIT $5`,
    [query.applicationId ?? null, query.states, after?.time ?? null, after?.id ?? null, query.limit + 1],
  );
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  return {
    sessions: page.map(fromRow),
    nextCursor: rows.length > query.limit && last !== undefined ? makeCursor(last.cursor_time, last.id) : undefined,
  };
}

function makeCursor(time: string, id: string): string {
  return Buffer.from(`${time} ${id}`).toString('base64url');
}

const cursorShape = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([A-Za-z0-9_.:-]{1,128})$/;

function parseCursor(cursor: string | undefined): { time: string; id: string } | undefined {
  if (cursor === undefined) return undefined;
  const [, time, id] = cursorShape.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? [];
  // The parser at the edge has checked the shape already; a cursor that is none starts nowhere.
  return time === undefined || id === undefined ? undefined : { time, id };
}

/** True when the text is a cursor that an earlier page has given. */
export function isCursor(cursor: string): boolean {
  return cursor.length <= 400 && parseCursor(cursor) !== undefined;
}
