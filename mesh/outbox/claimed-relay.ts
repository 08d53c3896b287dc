// Publishes the rows that are not numbered: claim, one pipeline, one settling statement, again until nothing is left. It
// stands alone because any replica may do this at any time, unlike the numbered streams.
import type { JsonObject } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { int8 } from '#mesh/postgres';
import type { PublishOutcome, Publication, StreamFields } from '#mesh/redis';
import { isStreamName, type StreamName } from '#mesh/topology';
import type { LedgerDraft } from './enqueue.ts';
import type { RelayMetrics, RelayOptions } from './relay-options.ts';
import { entryFields } from './stream-fields.ts';

interface ClaimedRow {
  readonly id: string;
  readonly zone_id: string;
  readonly stream: string;
  readonly dedupe_key: string;
  readonly payload: JsonObject;
  readonly traceparent: string | null;
  readonly occurred_at: Date;
  readonly order_key: string;
  readonly producer_seq: string | null;
}

/** Much longer than a pipeline and a statement take; after it, another replica takes over what this one had claimed. */
const leaseMs = 30_000;

/** Waits between tries of a refused entry. */
const retryMs = 1_000;

/** What became of a batch: all of it went, some of it must wait, or Redis is away. */
export type BatchOutcome = 'empty' | 'published' | 'refused' | 'away';

/** Publishes one batch. Rejects when the database is away; whatever was claimed then comes back after its lease. */
export async function relayBatch(options: RelayOptions, metrics: RelayMetrics): Promise<BatchOutcome> {
  const { database, service } = options;
  const claim = newId();
  const rows = await database.query<ClaimedRow>(
    `SELECT id, zone_id, stream, dedupe_key, payload, traceparent, occurred_at, order_key, producer_seq
     FROM ${service}.outbox_claim($1, $2, $3)`,
    [claim, options.batchSize, leaseMs],
  );
  if (rows.length === 0) return 'empty';
  const settlement = settle(rows, await publish(options, rows));
  await database.query(`SELECT ${service}.outbox_settle($1, $2, $3, $4, $5, $6, $7)`, [
    claim,
    settlement.published.map((row) => row.id),
    settlement.refused.map(({ row }) => row.id),
    settlement.refused.map(({ error }) => error),
    settlement.released.map((row) => row.id),
    retryMs,
    options.maxAttempts,
  ]);
  return report(options, metrics, settlement);
}

type Outcome = PublishOutcome | { readonly kind: 'unfit'; readonly error: Error };

/** Outcomes in the order of the rows. The ledger may live in another Redis, so its entries are a pipeline of their own. */
async function publish(options: RelayOptions, rows: readonly ClaimedRow[]): Promise<Outcome[]> {
  const outcomes = Array.from<Outcome>({ length: rows.length });
  const pipelines: { at: number; publication: Publication }[][] = [[], []];
  for (const [at, row] of rows.entries()) {
    try {
      const stream = streamOf(row);
      const ledger = stream === 'caracal.audit.events';
      const fields = ledger ? ledgerFieldsOf(options, row) : plainFieldsOf(row);
      pipelines[ledger ? 1 : 0]?.push({ at, publication: { stream, fields } });
    } catch (error) {
      outcomes[at] = { kind: 'unfit', error: error instanceof Error ? error : new Error(String(error)) };
    }
  }
  const publishers = [options.publisher, options.ledgerPublisher ?? options.publisher];
  await Promise.all(
    publishers.map(async (publisher, which) => {
      const pipeline = pipelines[which] ?? [];
      if (pipeline.length === 0) return;
      const results = await publisher.publish(pipeline.map(({ publication }) => publication));
      for (const [index, { at }] of pipeline.entries()) {
        const result = results[index];
        if (result !== undefined) outcomes[at] = result;
      }
    }),
  );
  return outcomes;
}

function streamOf(row: ClaimedRow): StreamName {
  if (!isStreamName(row.stream)) throw new Error(`no such stream: ${row.stream}`);
  return row.stream;
}

function plainFieldsOf(row: ClaimedRow): StreamFields {
  return entryFields({
    id: row.id,
    dedupeKey: row.dedupe_key,
    occurredAtMs: row.occurred_at.getTime(),
    traceparent: row.traceparent ?? undefined,
    data: JSON.stringify(row.payload),
  });
}

function ledgerFieldsOf(options: RelayOptions, row: ClaimedRow): StreamFields {
  if (row.producer_seq === null) throw new Error('an event of the ledger was claimed without a number');
  // The payload is what enqueueAuditEvent or a definer function of ours wrote.
  return options.ledgerFields(row.payload as unknown as LedgerDraft, {
    id: row.id,
    producer: `${options.service}/outbox`,
    producerIncarnation: 'outbox',
    producerSeq: int8(row.producer_seq),
    nowMs: row.occurred_at.getTime(),
  });
}

interface Settlement {
  readonly published: ClaimedRow[];
  readonly refused: { row: ClaimedRow; error: string }[];
  /** Free at once, no attempt used. */
  readonly released: ClaimedRow[];
}

/**
 * A row behind one of its key that did not go is released even when Redis took it: it is published again after the other, so
 * that every reader sees the key's entries in their order at last. Duplicates carry the same outbox_id.
 */
function settle(rows: readonly ClaimedRow[], outcomes: readonly Outcome[]): Settlement {
  const settlement: Settlement = { published: [], refused: [], released: [] };
  const stuck = new Set<string>();
  for (const [at, row] of rows.entries()) {
    const key = `${row.stream} ${row.order_key}`;
    const outcome = outcomes[at];
    const kind = outcome?.kind ?? 'away';
    if (kind === 'published' && !stuck.has(key)) {
      settlement.published.push(row);
      continue;
    }
    if ((outcome?.kind === 'refused' || outcome?.kind === 'unfit') && !stuck.has(key)) {
      settlement.refused.push({ row, error: outcome.error.message });
    } else {
      settlement.released.push(row);
    }
    stuck.add(key);
  }
  return settlement;
}

function report(options: RelayOptions, metrics: RelayMetrics, settlement: Settlement): BatchOutcome {
  const counts = new Map<string, number>();
  for (const row of settlement.published) counts.set(row.stream, (counts.get(row.stream) ?? 0) + 1);
  for (const [stream, count] of counts) metrics.published(stream, count);
  for (const { row, error } of settlement.refused) {
    metrics.refused(row.stream);
    options.logger.warn({ outbox_id: row.id, stream: row.stream, error }, 'an outbox entry was refused');
  }
  if (settlement.refused.length > 0) return 'refused';
  if (settlement.released.length === 0) return 'published';
  metrics.away();
  return 'away';
}
