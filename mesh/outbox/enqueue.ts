// Writes events into the outbox of the service whose transaction it is, so that an event exists exactly when its cause does.
// It stands alone because flows only ever write: what is published when is the relay's business.
import { fail, type JsonObject, type JsonValue } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { int8, type ZoneTransaction } from '#mesh/postgres';
import { streams, type StreamName } from '#mesh/topology';

export interface OutboxEntry {
  readonly stream: StreamName;
  readonly zoneId: string;
  /** At most 512 printable characters: a second entry with the same key is not written. */
  readonly dedupeKey: string;
  readonly payload: JsonObject;
  /** W3C trace context of the cause. */
  readonly traceparent?: string | undefined;
  /** Entries of one key and stream leave in the order they were written; the zone when left out. */
  readonly orderKey?: string | undefined;
}

export interface NumberedEntry extends Omit<OutboxEntry, 'dedupeKey' | 'orderKey'> {
  /** The row's own id when left out. A second entry with the same key fails the transaction: numbers have no holes. */
  readonly dedupeKey?: string | undefined;
}

/** An event of the ledger as its cause knows it: proto caracal.event.v1.AuditEvent without who produced it. */
export interface LedgerDraft {
  readonly id?: string | undefined;
  readonly zoneId: string;
  readonly eventType: string;
  readonly requestId: string;
  readonly traceId?: string | undefined;
  readonly decision?: 'allow' | 'deny' | 'partial' | undefined;
  readonly policySetId?: string | undefined;
  readonly policySetVersionId?: string | undefined;
  readonly manifestSha?: string | undefined;
  readonly evaluationStatus?: string | undefined;
  readonly determiningPolicies?: readonly string[] | undefined;
  readonly diagnostics?: readonly JsonObject[] | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly inputDigest?: string | undefined;
  readonly inputJson?: string | undefined;
  /** Epoch milliseconds; the moment of writing when left out. */
  readonly occurredAtMs?: number | undefined;
}

/** Control characters make a stream entry's signature ambiguous, so they never get as far as the outbox. */
// oxlint-disable-next-line no-control-regex -- the rule is about exactly these characters
const control = /[\u0000-\u001f\u007f]/;

/** Writes an entry for any stream that is not numbered. False when an entry with its dedupe key was there already. */
export async function enqueue(tx: ZoneTransaction, entry: OutboxEntry): Promise<boolean> {
  requireProducer(tx, entry.stream, false);
  const written = await insert(tx, { ...entry, id: newId() });
  return written > 0;
}

/**
 * Writes an entry of an invalidation stream and returns its number. Locks the stream's head until the transaction ends, so it
 * is the transaction's last statement; several streams of one service go in the order of their names, and
 * sts_pub.revoke comes after all of them.
 */
export async function enqueueNumbered(tx: ZoneTransaction, entry: NumberedEntry): Promise<number> {
  requireProducer(tx, entry.stream, true);
  const id = newId();
  const row = await tx.one<{ number: string }>(
    `WITH head AS (UPDATE ${tx.service}.stream_heads SET head = head + 1 WHERE stream = $3 RETURNING head)
     INSERT INTO ${tx.service}.outbox (id, zone_id, stream, order_key, dedupe_key, payload, traceparent, number)
     SELECT $1, $2::text, $3, $2::text, $4, $5::jsonb, $6, head FROM head
     RETURNING number`,
    [
      id,
      entry.zoneId,
      entry.stream,
      plain(entry.dedupeKey ?? id),
      JSON.stringify(storable(entry.payload)),
      entry.traceparent === undefined ? null : plain(entry.traceparent),
    ],
  );
  if (row === undefined)
    throw fail('internal_error', { privateDetail: `${entry.stream} has no head in ${tx.service}` });
  return int8(row.number);
}

/** Writes an event of the ledger. Its id is the draft's, or a new one. */
export async function enqueueAuditEvent(tx: ZoneTransaction, draft: LedgerDraft): Promise<{ eventId: string }> {
  const row = ledgerRow(tx, draft);
  await insert(tx, row);
  return { eventId: row.id };
}

/** Writes entries and events of the ledger in one statement and in their order: one round trip for a whole cascade. */
export async function enqueueAll(
  tx: ZoneTransaction,
  all: { readonly entries: readonly OutboxEntry[]; readonly events: readonly LedgerDraft[] },
): Promise<void> {
  const rows = [
    ...all.entries.map((entry): OutboxRow => {
      requireProducer(tx, entry.stream, false);
      return { ...entry, id: newId() };
    }),
    ...all.events.map((draft) => ledgerRow(tx, draft)),
  ];
  await tx.execute(
    `INSERT INTO ${tx.service}.outbox (id, zone_id, stream, order_key, dedupe_key, payload, traceparent)
     SELECT id, zone_id, stream, order_key, dedupe_key, payload::jsonb, traceparent
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
       WITH ORDINALITY AS row (id, zone_id, stream, order_key, dedupe_key, payload, traceparent, position)
     ORDER BY position
     ON CONFLICT (dedupe_key) DO NOTHING`,
    transposed(rows.map(valuesOf)),
  );
}

interface OutboxRow extends OutboxEntry {
  readonly id: string;
}

function ledgerRow(tx: ZoneTransaction, draft: LedgerDraft): OutboxRow {
  const stream: StreamName = 'caracal.audit.events';
  requireProducer(tx, stream, false);
  const { id = newId(), ...rest } = draft;
  const payload: JsonObject = JSON.parse(JSON.stringify(rest));
  // A key of its own: the ledger orders events itself, and none waits for another.
  return { id, stream, zoneId: draft.zoneId, dedupeKey: `audit:${id}`, orderKey: id, payload };
}

type RowValues = readonly [string, string, string, string, string, string, string | null];

function valuesOf(row: OutboxRow): RowValues {
  return [
    row.id,
    row.zoneId,
    row.stream,
    row.orderKey ?? row.zoneId,
    plain(row.dedupeKey),
    JSON.stringify(storable(row.payload)),
    row.traceparent === undefined ? null : plain(row.traceparent),
  ];
}

/** Rows as one array for each column. */
function transposed(rows: readonly RowValues[]): (string | null)[][] {
  const columns: (string | null)[][] = [[], [], [], [], [], [], []];
  for (const row of rows) for (const [at, value] of row.entries()) columns[at]?.push(value);
  return columns;
}

function insert(tx: ZoneTransaction, row: OutboxRow): Promise<number> {
  return tx.execute(
    `INSERT INTO ${tx.service}.outbox (id, zone_id, stream, order_key, dedupe_key, payload, traceparent)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (dedupe_key) DO NOTHING`,
    valuesOf(row),
  );
}

/** Topology says who writes which stream; anything else is a mistake of ours. */
function requireProducer(tx: ZoneTransaction, stream: StreamName, numbered: boolean): void {
  const rule = streams[stream];
  if (!rule.producers.includes(tx.service) || numbered !== (rule.kind === 'invalidation')) {
    throw fail('internal_error', { privateDetail: `${tx.service} does not write ${stream} this way` });
  }
}

function plain(text: string): string {
  if (control.test(text)) throw fail('internal_error', { privateDetail: 'a control character in an outbox key' });
  return text;
}

/** jsonb holds neither NUL nor half a surrogate pair; the rest of the fact is worth keeping, so they are replaced. */
function storable(value: JsonValue): JsonValue {
  if (typeof value === 'string') return storableText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((entry: JsonValue) => storable(entry));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [storableText(name), storable(member)]),
  );
}

function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '\uFFFD');
}
