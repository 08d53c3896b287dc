// Counters of open sessions per zone, application and parent: a row each, so that a limit costs one locked row and never a
// COUNT under a lock.
import type { Transaction } from '#mesh/postgres';
import type { AgentSession } from '../../domain/agent-session.ts';
import type { CapacityClaim } from '../../ports/session-graph.ts';

/** The counters a session counts under, in locking order. */
function capacityKeys(session: AgentSession): string[] {
  const keys = ['zone', `application:${session.applicationId}`];
  return session.parentId === undefined ? keys : [...keys, `children:${session.parentId}`];
}

/** Counts one more under each key; stops at the first that is full. Rows lock in sorted key order. */
export async function claimCapacity(
  tx: Transaction,
  zoneId: string,
  claims: readonly CapacityClaim[],
): Promise<{ full: string | undefined }> {
  const sorted = [...claims].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const rows = await tx.query<{ key: string }>(
    `INSERT INTO coordinator.capacity AS c (zone_id, key, used)
     SELECT $1, key, 1 FROM unnest($2::text[], $3::int[]) WITH ORDINALITY AS t (key, max_used, position) ORDER BY position
     ON CONFLICT (zone_id, key) DO UPDATE SET used = c.used + 1
     WHERE c.used < (SELECT max_used FROM unnest($2::text[], $3::int[]) AS l (key, max_used) WHERE l.key = c.key)
     RETURNING key`,
    [zoneId, sorted.map((claim) => claim.key), sorted.map((claim) => claim.limit)],
  );
  const taken = new Set(rows.map((row) => row.key));
  return { full: claims.find((claim) => !taken.has(claim.key))?.key };
}

/** Gives back what ended sessions counted for; a children counter goes with its parent. */
export async function releaseCapacity(
  tx: Transaction,
  zoneId: string,
  sessions: readonly AgentSession[],
): Promise<void> {
  const counts = new Map<string, number>();
  for (const key of sessions.flatMap(capacityKeys)) counts.set(key, (counts.get(key) ?? 0) + 1);
  const keys = [...counts.keys()].toSorted();
  await tx.execute(
    `WITH locked AS (
       SELECT zone_id, key FROM coordinator.capacity WHERE zone_id = $1 AND key = ANY ($2) ORDER BY key FOR UPDATE
     )
     UPDATE coordinator.capacity c SET used = greatest(0, c.used - r.released)
     FROM unnest($2::text[], $3::int[]) AS r (key, released), locked l
     WHERE c.zone_id = l.zone_id AND c.key = l.key AND r.key = c.key`,
    [zoneId, keys, keys.map((key) => counts.get(key) ?? 0)],
  );
  await tx.execute(`DELETE FROM coordinator.capacity WHERE zone_id = $1 AND key = ANY ($2)`, [
    zoneId,
    sessions.map((session) => `children:${session.id}`),
  ]);
}
