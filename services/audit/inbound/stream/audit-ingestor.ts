// The consumer group `audit-ingestor`: hands batches of the audit stream to the ingesting flow. Entries come back until they
// are stored or lie in the dead letters; a database that is away is waited out.
import { asFailure } from '#mesh/failure';
import {
  createGroupConsumer,
  type GroupConsumer,
  type Publisher,
  type RedisConnection,
  type StreamSigner,
} from '#mesh/redis';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { IngestOutcome, StreamedEvent } from '../../flows/ingest-batch.ts';
import type { AuditMetrics } from '../../metrics.ts';

export interface IngestorOptions {
  readonly redis: RedisConnection;
  readonly publisher: Publisher;
  readonly signer: StreamSigner | undefined;
  /** A stable name takes up its own unfinished entries after a restart. */
  readonly consumer: string;
  readonly maxDeliveries: number;
  readonly ingest: (batch: readonly StreamedEvent[]) => Promise<IngestOutcome>;
  readonly metrics: AuditMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * At 1,000 governed calls a second a hundred events come together in this time and are one transaction instead of twenty; an
 * event is in the ledger that much later, which nobody waits for.
 */
const gatherMs = 50;
/** How often the stream is cut below what has been acknowledged: often enough that Redis holds minutes, not days. */
const trimEveryMs = 10_000;
/** What a dead member leaves is taken over after this; Audit restarts faster. */
const claimIdleMs = 30_000;

export function createAuditIngestor(options: IngestorOptions): GroupConsumer {
  const { metrics, logger } = options;
  return createGroupConsumer({
    redis: options.redis,
    stream: 'caracal.audit.events',
    group: 'audit-ingestor',
    consumer: options.consumer,
    ...(options.signer === undefined ? {} : { signer: options.signer }),
    deadLetter: { stream: 'caracal.audit.events.dlq', publisher: options.publisher },
    maxDeliveries: options.maxDeliveries,
    trimEveryMs,
    gatherMs,
    claimIdleMs,
    isPassing: (error) => asFailure(error).reason === 'store_unavailable',
    onDeadLetter: (letter) => {
      metrics.deadLetters.inc();
      logger.error(
        { entry: letter.entry.id, reason: letter.reason },
        'an event could not be taken and lies in the dead letters',
      );
    },
    onBatch: async (entries) => {
      const outcome = await options.ingest(
        entries.map((entry) => ({ entryId: entry.id, data: entry.fields.data, sig: entry.fields.sig })),
      );
      metrics.stored.inc({}, outcome.stored);
      metrics.duplicates.inc({}, outcome.duplicates);
      return outcome.dead.map((dead) => ({ id: dead.entryId, reason: dead.reason }));
    },
    clock: options.clock,
    logger,
  });
}
