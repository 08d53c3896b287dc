// What a relay needs and what it counts. It stands alone because its two halves, for numbered streams and for all others,
// are given the same things.
import type { Logger, Metrics } from '#mesh/telemetry';
import type { Database } from '#mesh/postgres';
import type { MemoryWatch, Publisher, StreamFields } from '#mesh/redis';
import type { Clock } from '#mesh/time';
import type { ServiceName } from '#mesh/topology';
import type { LedgerDraft } from './enqueue.ts';

/** Who an event of the ledger comes from: this service's outbox, under a number without gaps. */
export interface LedgerOrigin {
  readonly id: string;
  readonly producer: string;
  readonly producerIncarnation: string;
  readonly producerSeq: number;
  /** When the row was written, epoch milliseconds. */
  readonly nowMs: number;
}

export interface RelayOptions {
  readonly database: Database;
  readonly service: ServiceName;
  readonly publisher: Publisher;
  /** Of AUDIT_STREAM_URL; `publisher` when left out. */
  readonly ledgerPublisher?: Publisher | undefined;
  /**
   * Tells when the ledger's Redis has forgotten what it had taken: what the ledger does not have is then published again, and
   * once at the start for losses that nobody saw. Without it Redis is taken at its word.
   */
  readonly ledgerMemory?: Pick<MemoryWatch, 'onLoss'> | undefined;
  /** Builds and signs an event: #mesh/trail's buildAuditEvent, signAuditEvent and auditStreamFields. */
  readonly ledgerFields: (draft: LedgerDraft, origin: LedgerOrigin) => StreamFields;
  /** Milliseconds between looks when nothing wakes the relay (OUTBOX_POLL_MS). */
  readonly pollMs: number;
  /** Rows in one pipeline (OUTBOX_BATCH_SIZE). */
  readonly batchSize: number;
  /** Refusals by Redis after which a row is dead (OUTBOX_MAX_ATTEMPTS). */
  readonly maxAttempts: number;
  /** How long published rows are kept, milliseconds; an hour when left out. */
  readonly keepPublishedMs?: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
}

export interface RelayMetrics {
  readonly published: (stream: string, count: number) => void;
  readonly refused: (stream: string) => void;
  readonly away: () => void;
  readonly backlog: (state: { pending: number; dead: number; oldestMs: number }) => void;
  readonly numbered: (stream: string, state: { head: number; unpublishedMs: number }) => void;
}

const silent: RelayMetrics = {
  published: () => {},
  refused: () => {},
  away: () => {},
  backlog: () => {},
  numbered: () => {},
};

export function createRelayMetrics(metrics: Metrics | undefined): RelayMetrics {
  if (metrics === undefined) return silent;
  const labels = ['stream'] as const;
  const published = metrics.counter({ name: 'outbox_published_total', help: 'Entries that Redis took.', labels });
  const refused = metrics.counter({
    name: 'outbox_refused_total',
    help: 'Entries that Redis answered and refused.',
    labels,
  });
  const away = metrics.counter({ name: 'outbox_away_total', help: 'Pipelines that found Redis away.' });
  const pending = metrics.gauge({ name: 'outbox_pending', help: 'Rows that wait to be published, counted to 10,000.' });
  const dead = metrics.gauge({ name: 'outbox_dead', help: 'Rows that Redis refused too often, counted to 10,000.' });
  const oldest = metrics.gauge({ name: 'outbox_oldest_seconds', help: 'Age of the oldest row that waits.' });
  const head = metrics.gauge({ name: 'stream_head', help: 'The highest number given in a numbered stream.', labels });
  const unpublished = metrics.gauge({
    name: 'stream_unpublished_seconds',
    help: 'Age of the oldest numbered entry that Redis does not have. More than a few seconds pages.',
    labels,
  });
  return {
    published: (stream, count) => published.inc({ stream }, count),
    refused: (stream) => refused.inc({ stream }),
    away: () => away.inc(),
    backlog: (state) => {
      pending.set(state.pending);
      dead.set(state.dead);
      oldest.set(state.oldestMs / 1000);
    },
    numbered: (stream, state) => {
      head.set(state.head, { stream });
      unpublished.set(state.unpublishedMs / 1000, { stream });
    },
  };
}
