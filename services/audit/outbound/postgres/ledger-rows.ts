// Rows of audit.events and what stands beside them, and the statements on them.
import type { Transaction } from '#mesh/postgres';
import { type ChainHead, emptyHead } from '../../domain/chain.ts';
import type { Finding, StoredEntry } from '../../domain/tamper-finding.ts';
import type { AppendedEntry, LedgerPage, LedgerQuery, LedgerRecord } from '../../ports/ledger-store.ts';
import { int8Array, textArray } from './binary-array.ts';

interface HeadRow {
  readonly seq: string;
  /** NULL before the first entry. */
  readonly content_sha256: string | null;
  readonly chain_hmac: string | null;
}

const asHead = (row: HeadRow): ChainHead => ({
  seq: Number(row.seq),
  contentSha256: row.content_sha256 ?? '',
  chainHmac: row.chain_hmac ?? '',
});

/** Locks the zone's head, making it first when the zone has no entry yet. */
export async function lockHead(tx: Transaction, zoneId: string): Promise<ChainHead> {
  const select = 'SELECT seq, content_sha256, chain_hmac FROM audit.chain_heads WHERE zone_id = $1 FOR UPDATE';
  const row = await tx.one<HeadRow>(select, [zoneId]);
  if (row !== undefined) return asHead(row);
  await tx.execute(
    `INSERT INTO audit.chain_heads (zone_id, seq) VALUES ($1, 0)
     ON CONFLICT (zone_id) DO NOTHING`,
    [zoneId],
  );
  const made = await tx.one<HeadRow>(select, [zoneId]);
  return made === undefined ? emptyHead : asHead(made);
}

export async function selectHead(tx: Transaction, zoneId: string): Promise<ChainHead> {
  const row = await tx.one<HeadRow>(
    'SELECT seq, content_sha256, chain_hmac FROM audit.chain_heads WHERE zone_id = $1',
    [zoneId],
  );
  return row === undefined ? emptyHead : asHead(row);
}

/** Ids are unique over the whole ledger, whatever month an event is dated in. */
export async function selectKnown(tx: Transaction, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await tx.query<{ id: string; content_sha256: string }>(
    'SELECT id, content_sha256 FROM audit.event_ids WHERE id = ANY ($1)',
    [ids],
  );
  return new Map(rows.map((row) => [row.id, row.content_sha256]));
}

/** Events, their ids and the new head in one statement. */
export async function insertEntries(
  tx: Transaction,
  entries: readonly AppendedEntry[],
  head: ChainHead,
): Promise<void> {
  const [first] = entries;
  if (first === undefined) return;
  await tx.execute(
    `WITH entry AS (
       SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
         $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
         $17::text[], $18::bigint[])
       AS e (id, seq, event_type, request_id, decision, evaluation_status, application_id, occurred_at, canonical,
         content_sha256, previous_sha256, chain_hmac, chain_key_id, ingest_signature, producer, producer_incarnation,
         producer_seq)
     ), ids AS (
       INSERT INTO audit.event_ids (id, zone_id, content_sha256, occurred_at)
       SELECT id, $1, content_sha256, occurred_at FROM entry
     ), head AS (
       UPDATE audit.chain_heads SET seq = $19, content_sha256 = $20, chain_hmac = $21 WHERE zone_id = $1
     )
     INSERT INTO audit.events (zone_id, id, seq, event_type, request_id, decision, evaluation_status, application_id,
       occurred_at, canonical, content_sha256, previous_sha256, chain_hmac, chain_key_id, ingest_signature, producer,
       producer_incarnation, producer_seq)
     SELECT $1, id, seq, event_type, nullif(request_id, ''), nullif(decision, ''), nullif(evaluation_status, ''),
       nullif(application_id, ''), occurred_at, canonical, content_sha256, nullif(previous_sha256, ''), chain_hmac,
       chain_key_id, ingest_signature, producer, producer_incarnation, producer_seq
     FROM entry ORDER BY seq`,
    [
      first.event.zoneId,
      textArray(entries.map(({ event }) => event.id)),
      int8Array(entries.map(({ link }) => link.seq)),
      textArray(entries.map(({ event }) => event.eventType)),
      textArray(entries.map(({ event }) => event.requestId)),
      textArray(entries.map(({ event }) => event.decision)),
      textArray(entries.map(({ event }) => event.evaluationStatus)),
      textArray(entries.map(({ event }) => event.applicationId)),
      entries.map(({ event }) => event.occurredAt),
      textArray(entries.map(({ event }) => event.canonical)),
      textArray(entries.map(({ event }) => event.contentSha256)),
      textArray(entries.map(({ link }) => link.previousSha256)),
      textArray(entries.map(({ link }) => link.chainHmac)),
      textArray(entries.map(({ link }) => link.chainKeyId)),
      textArray(entries.map(({ signature }) => signature)),
      textArray(entries.map(({ event }) => event.producer)),
      textArray(entries.map(({ event }) => event.producerIncarnation)),
      int8Array(entries.map(({ event }) => event.producerSeq)),
      head.seq,
      head.contentSha256,
      head.chainHmac,
    ],
  );
}

export async function insertFindings(
  tx: Transaction,
  findings: readonly (Finding & { readonly id: string })[],
): Promise<void> {
  for (const finding of findings) {
    await tx.execute(
      `INSERT INTO audit.findings (id, zone_id, seq, event_id, kind, description) VALUES ($1, $2, nullif($3::bigint, 0), nullif($4, ''), $5, $6)`,
      [finding.id, finding.zoneId, finding.seq, finding.eventId, finding.kind, finding.description],
    );
  }
}

interface EntryRow {
  readonly seq: string;
  readonly id: string;
  readonly canonical: string;
  readonly content_sha256: string;
  readonly previous_sha256: string;
  readonly chain_hmac: string;
  readonly chain_key_id: string;
  readonly event_type: string;
  readonly decision: string;
  readonly occurred_text: string;
  readonly ingested_at: Date;
}

const entryColumns = `seq, id, canonical, content_sha256, coalesce(previous_sha256, '') AS previous_sha256, chain_hmac,
  chain_key_id, event_type, coalesce(decision, '') AS decision,
  to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS occurred_text, ingested_at`;

/** Stored entries from a seq on, in chain order. */
export async function selectEntries(
  tx: Transaction,
  from: { zoneId: string; seq: number },
  limit: number,
): Promise<StoredEntry[]> {
  const rows = await tx.query<EntryRow>(
    `SELECT ${entryColumns} FROM audit.events WHERE zone_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3`,
    [from.zoneId, from.seq, limit],
  );
  return rows.map((row) => ({
    zoneId: from.zoneId,
    seq: Number(row.seq),
    eventId: row.id,
    canonical: row.canonical,
    contentSha256: row.content_sha256,
    previousSha256: row.previous_sha256,
    chainHmac: row.chain_hmac,
    chainKeyId: row.chain_key_id,
    columns: { id: row.id, eventType: row.event_type, occurredAt: row.occurred_text, decision: row.decision },
  }));
}

function asRecord(row: EntryRow): LedgerRecord {
  return {
    seq: Number(row.seq),
    canonical: row.canonical,
    contentSha256: row.content_sha256,
    previousSha256: row.previous_sha256,
    chainHmac: row.chain_hmac,
    chainKeyId: row.chain_key_id,
    ingestedAtMs: row.ingested_at.getTime(),
  };
}

export async function selectTrace(
  tx: Transaction,
  trace: { zoneId: string; requestId: string },
  limit: number,
): Promise<LedgerRecord[]> {
  const rows = await tx.query<EntryRow>(
    `SELECT ${entryColumns} FROM audit.events WHERE zone_id = $1 AND request_id = $2 ORDER BY seq LIMIT $3`,
    [trace.zoneId, trace.requestId, limit],
  );
  return rows.map(asRecord);
}

/** Newest first by (occurred_at, id); the cursor carries microseconds, so that no row is skipped. */
export async function selectPage(tx: Transaction, zoneId: string, query: LedgerQuery): Promise<LedgerPage> {
  const after = parseCursor(query.cursor);
  const rows = await tx.query<EntryRow>(
    `SELECT ${entryColumns} FROM audit.events
     WHERE zone_id = $1
       AND ($2::timestamptz IS NULL OR occurred_at >= $2::timestamptz)
       AND ($3::timestamptz IS NULL OR occurred_at < $3::timestamptz)
       AND ($4::text IS NULL OR decision = $4)
       AND (cardinality($5::text[]) = 0 OR event_type = ANY ($5))
       AND ($6::text IS NULL OR request_id = $6)
       AND ($7::text IS NULL OR application_id = $7)
       AND ($8::timestamptz IS NULL OR (occurred_at, id) < ($8::timestamptz, $9::text))
     ORDER BY occurred_at DESC, id DESC
     LIMIT $10`,
    [
      zoneId,
      query.since ?? null,
      query.until ?? null,
      query.decision ?? null,
      query.eventTypes,
      query.requestId ?? null,
      query.applicationId ?? null,
      after?.time ?? null,
      after?.id ?? null,
      query.limit + 1,
    ],
  );
  const page = rows.slice(0, Math.min(query.limit, fittingCount(rows)));
  const last = page.at(-1);
  return {
    records: page.map(asRecord),
    nextCursor: rows.length > page.length && last !== undefined ? makeCursor(last.occurred_text, last.id) : undefined,
  };
}

/** An answer is at most 1 MiB on every surface; a quarter of it is left for what is not the event itself. */
const pageBytes = 768 * 1024;
/** Of an entry beside its event: digests, chain, keys of JSON. */
const entryOverheadBytes = 512;

/** How many of the first rows fit one answer; at least one, so that every cursor leads on. */
function fittingCount(rows: readonly EntryRow[]): number {
  let bytes = 0;
  for (const [count, row] of rows.entries()) {
    bytes += Buffer.byteLength(row.canonical) + entryOverheadBytes;
    if (bytes > pageBytes) return Math.max(1, count);
  }
  return rows.length;
}

const makeCursor = (time: string, id: string): string => Buffer.from(`${time} ${id}`).toString('base64url');

const cursorShape = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([0-9a-f-]{36})$/;

function parseCursor(cursor: string | undefined): { time: string; id: string } | undefined {
  if (cursor === undefined) return undefined;
  const [, time, id] = cursorShape.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? [];
  return time === undefined || id === undefined ? undefined : { time, id };
}

/** True when the text is a cursor that an earlier page has given. */
export function isLedgerCursor(cursor: string): boolean {
  return cursor.length <= 200 && parseCursor(cursor) !== undefined;
}
