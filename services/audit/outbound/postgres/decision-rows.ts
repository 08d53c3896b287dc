// The statement that reads decision events oldest first, in pages bounded by rows and by bytes.
import type { Transaction } from '#mesh/postgres';
import type { DecisionEvents, DecisionPage } from '../../ports/ledger-store.ts';

interface DecisionRow {
  readonly id: string;
  readonly occurred_text: string;
  readonly canonical: string;
}

/** Rows a page at most: what one message carries at most. */
const pageRows = 512;
/** Bytes after which no further event joins a page; with the largest event on top this is what reading costs in memory. */
const pageBytes = 4 * 1024 * 1024;

const columns = `id, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS occurred_text, canonical`;

async function selectOne(tx: Transaction, zoneId: string, eventId: string): Promise<DecisionPage> {
  const rows = await tx.query<DecisionRow>(
    `SELECT ${columns} FROM audit.events
     WHERE zone_id = $1 AND id = $2
       AND occurred_at = (SELECT known.occurred_at FROM audit.event_ids AS known WHERE known.id = $2)`,
    [zoneId, eventId],
  );
  return { canonical: rows.map((row) => row.canonical), next: undefined };
}

/** A page in the order of (occurred_at, id); `next` is undefined once nothing follows. */
export async function selectDecisions(tx: Transaction, zoneId: string, events: DecisionEvents): Promise<DecisionPage> {
  if (events.eventId !== undefined) return selectOne(tx, zoneId, events.eventId);
  const rows = await tx.query<DecisionRow>(
    `SELECT ${columns} FROM (
       SELECT id, occurred_at, canonical,
         sum(octet_length(canonical)) OVER (ORDER BY occurred_at, id) - octet_length(canonical) AS bytes_before
       FROM (
         SELECT id, occurred_at, canonical FROM audit.events
         WHERE zone_id = $1
           AND event_type = ANY ($2)
           AND ($3::timestamptz IS NULL OR occurred_at >= $3::timestamptz)
           AND ($4::timestamptz IS NULL OR occurred_at < $4::timestamptz)
           AND ($5::timestamptz IS NULL OR (occurred_at, id) > ($5::timestamptz, $6::text))
         ORDER BY occurred_at, id
         LIMIT $7
       ) AS page
     ) AS sized
     WHERE bytes_before < $8
     ORDER BY occurred_at, id`,
    [
      zoneId,
      events.eventTypes,
      events.since ?? null,
      events.until ?? null,
      events.after?.occurredAt ?? null,
      events.after?.id ?? null,
      pageRows,
      pageBytes,
    ],
  );
  const last = rows.at(-1);
  return {
    canonical: rows.map((row) => row.canonical),
    next: last === undefined ? undefined : { occurredAt: last.occurred_text, id: last.id },
  };
}
