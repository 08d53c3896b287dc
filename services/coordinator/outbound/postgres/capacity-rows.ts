// Counters of open sessions per zone, application and parent: a row each, so that a limit costs one locked row and never a
// COUNT under a lock. Rows lock in sorted order of their keys.
import type { AgentSession } from '../../domain/agent-session.ts';
import type { CapacityClaim } from '../../ports/session-graph.ts';

/** Counters a session counts under. */
function capacityKeys(session: AgentSession): string[] {
  const keys = ['zone', `application:${session.applicationId}`];
  return session.parentId === undefined ? keys : [...keys, `children:${session.parentId}`];
}

/**
 * One more under each key that is not full; answers the keys that were not. Placeholders: the zone, the keys in their order,
 * their limits.
 */
export const claimStatement = (zone: string, keys: string, limits: string): string =>
  `INSERT INTO coordinator.capacity AS c (zone_id, key, used)
   SELECT ${zone}::text, key, 1 FROM unnest(${keys}::text[]) WITH ORDINALITY AS t (key, position) ORDER BY position
   ON CONFLICT (zone_id, key) DO UPDATE SET used = c.used + 1
   WHERE c.used < (SELECT l.at_most FROM unnest(${keys}::text[], ${limits}::int[]) AS l (key, at_most) WHERE l.key = c.key)
   RETURNING key`;

/** Claims in the order their rows lock in. */
export function sortedClaims(claims: readonly CapacityClaim[]): CapacityClaim[] {
  return claims.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

/** What the end of sessions gives back; the children's counter of an ended session goes with it. */
export interface Release {
  readonly keys: readonly string[];
  readonly counts: readonly number[];
  readonly dropped: readonly string[];
}

export function releaseOf(sessions: readonly AgentSession[]): Release {
  const dropped = sessions.map((session) => `children:${session.id}`);
  const gone = new Set(dropped);
  const counts = new Map<string, number>();
  for (const key of sessions.flatMap(capacityKeys)) {
    if (!gone.has(key)) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const keys = [...counts.keys()].toSorted();
  return { keys, counts: keys.map((key) => counts.get(key) ?? 0), dropped };
}

/** Gives back and drops, as parts of a WITH. The values are the names of their placeholders. */
export const releaseStatements = (at: { zone: string; keys: string; counts: string; dropped: string }): string =>
  `locked AS (
     SELECT key FROM coordinator.capacity WHERE zone_id = ${at.zone} AND key = ANY (${at.keys}::text[])
     ORDER BY key FOR UPDATE
   ), released AS (
     UPDATE coordinator.capacity c SET used = greatest(0, c.used - r.count)
     FROM unnest(${at.keys}::text[], ${at.counts}::int[]) AS r (key, count) JOIN locked USING (key)
     WHERE c.zone_id = ${at.zone} AND c.key = r.key
   ), dropped AS (
     DELETE FROM coordinator.capacity WHERE zone_id = ${at.zone} AND key = ANY (${at.dropped}::text[])
   )`;
