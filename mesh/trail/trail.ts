// The evidence of a service that decides: numbers events without gaps, sends them in batches, and says when they are
// durable. Nothing is released on a decision before that.
import { fail, type Failure } from '#mesh/failure';
import {
  createMemoryWatch,
  createPublisher,
  type MemoryWatch,
  type RedisConnection,
  type StreamSigner,
} from '#mesh/redis';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import { Delivery, type Outgoing } from './delivery.ts';
import { buildAuditEvent, signAuditEvent, type AuditEventDraft } from './event.ts';
import { Journal } from './journal.ts';

/** Up to which number the ledger holds everything of an incarnation. */
export interface ProducerWatermark {
  readonly incarnation: string;
  readonly seq: number;
}

export interface TrailOptions {
  readonly producer: 'sts' | 'gateway';
  /** To AUDIT_STREAM_URL. Its settings are used; the trail writes on a connection of its own. */
  readonly redis: RedisConnection;
  /** AUDIT_REPLAY_DIR; made with mode 0700. One process at a time. */
  readonly journalDirectory: string;
  /** AUDIT_REPLAY_MAX_BYTES. */
  readonly maxBytes?: number;
  /** AUDIT_HMAC_KEY, and the previous one while keys rotate: it still vouches for journal lines. */
  readonly auditKey: Uint8Array;
  readonly previousAuditKey?: Uint8Array | undefined;
  /** Absent only where no STREAMS_HMAC_KEY is set. */
  readonly streamSigner: StreamSigner | undefined;
  /** audit_pub.producer_watermarks of this producer. May reject while the database is away. */
  readonly watermarks: () => Promise<readonly ProducerWatermark[]>;
  /** AUDIT_STREAM_HIGH_WATER_PERCENT. */
  readonly highWaterPercent?: number;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly metrics?: Metrics | undefined;
  readonly segmentBytes?: number;
}

export interface Trail extends AsyncDisposable {
  /**
   * Resolves when the event is durable: Redis answered, or the journal is synced. Rejects with Failure audit_unavailable
   * when neither works; what it was about must not happen then.
   */
  emit(draft: AuditEventDraft): Promise<{ readonly eventId: string }>;
  /** An event that nobody waits for (an outcome): in the next batch, as durable as any. Never throws. */
  emitLater(draft: AuditEventDraft): void;
  /** False when emit would reject. */
  isUsable(): boolean;
  /** Events that have not reached Redis yet. */
  unpublishedCount(): number;
  /** One per process start. */
  readonly incarnation: string;
}

// ledger.md: 1 GiB, 70 percent.
const MAX_BYTES = 1024 * 1024 * 1024;
const HIGH_WATER_PERCENT = 70;
// Redis answers within a millisecond or two; after this the journal is synced instead.
const REDIS_ANSWER_MS = 500;
// What a connection on one machine or in one network takes at most.
const REDIS_START_MS = 1_000;
const WATERMARK_INTERVAL_MS = 1_000;
const DRAIN_INTERVAL_MS = 250;
// One pipeline and one journal write; more events than this in one turn make several.
const LARGEST_BATCH = 512;
// An outcome joins a batch that is under way, or waits so long for one.
const LATER_MS = 20;
// How long a stopping process tries to hand over what waits; the journal keeps the rest for the next one.
const CLOSING_DRAIN_MS = 2_000;

class AuditTrail implements Trail {
  readonly incarnation: string;
  readonly #options: TrailOptions;
  readonly #delivery: Delivery;
  readonly #journal: Journal;
  readonly #redis: RedisConnection;
  readonly #memory: MemoryWatch;
  readonly #stop = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #queue: Outgoing[] = [];
  #isFlushSoon = false;
  #isLaterPlanned = false;
  #seq = 0;
  #watermarks: ReadonlyMap<string, number> = new Map();
  #running: Promise<unknown> | undefined;

  constructor(options: TrailOptions, parts: { readonly journal: Journal; readonly incarnation: string }) {
    const { redis, clock, newId, logger, metrics } = options;
    this.incarnation = parts.incarnation;
    this.#options = options;
    this.#journal = parts.journal;
    this.#redis = redis.duplicate(`${redis.name}-trail`, REDIS_ANSWER_MS);
    this.#memory = createMemoryWatch({ redis: this.#redis, clock, newId, logger });
    this.#delivery = new Delivery({
      incarnation: this.incarnation,
      redis: this.#redis,
      memory: this.#memory,
      publisher: createPublisher({ redis: this.#redis, signer: options.streamSigner }),
      journal: this.#journal,
      highWaterShare: (options.highWaterPercent ?? HIGH_WATER_PERCENT) / 100,
      clock,
      logger,
      metrics,
    });
  }

  async start(): Promise<void> {
    // An absent Redis delays nobody for long; a present one spares the first events the journal's sync.
    await this.#redis.untilUp(AbortSignal.timeout(REDIS_START_MS));
    this.#memory.start();
    this.#memory.onLoss(() => this.#delivery.publishAgain(this.#watermarks));
    // All that earlier processes left, before any watermark is looked at: one may have passed what was never published.
    this.#delivery.publishAgain(new Map());
    this.#running = Promise.all([this.#watchWatermarks(), this.#drainForEver()]);
  }

  isUsable(): boolean {
    return !this.#stop.signal.aborted && this.#delivery.isUsable;
  }

  unpublishedCount(): number {
    return this.#delivery.unpublishedCount;
  }

  async emit(draft: AuditEventDraft): Promise<{ readonly eventId: string }> {
    if (!this.isUsable()) throw unavailable();
    const entry = this.#number(draft);
    const isDurable = await new Promise<boolean>((settle) => {
      this.#queue.push({ entry, settle });
      this.#flushSoon();
    });
    if (!isDurable) throw unavailable();
    return { eventId: entry.id };
  }

  emitLater(draft: AuditEventDraft): void {
    if (!this.isUsable()) {
      this.#options.logger.error(
        { event_type: draft.eventType, request_id: draft.requestId },
        'event was not recorded',
      );
      return;
    }
    try {
      this.#queue.push({ entry: this.#number(draft), settle: () => undefined });
    } catch (error) {
      this.#options.logger.error({ error, event_type: draft.eventType }, 'event could not be built');
      return;
    }
    if (this.#isFlushSoon || this.#isLaterPlanned) return;
    this.#isLaterPlanned = true;
    const flush = (): void => {
      this.#isLaterPlanned = false;
      this.#flushSoon();
    };
    // A stopping process flushes by itself.
    void this.#options.clock.sleep(LATER_MS, this.#stop.signal).then(flush, flush);
  }

  // The number is taken only by an event that could be built, so that none is missing.
  #number(draft: AuditEventDraft): Outgoing['entry'] {
    const { producer, auditKey, clock, newId } = this.#options;
    const seq = this.#seq + 1;
    const id = draft.id ?? newId();
    const data = buildAuditEvent(draft, {
      id,
      producer,
      producerIncarnation: this.incarnation,
      producerSeq: seq,
      nowMs: clock.now(),
    });
    this.#seq = seq;
    return { id, seq, data, sig: signAuditEvent(data, auditKey) };
  }

  // Everything that this turn of the event loop emits goes in one batch.
  #flushSoon(): void {
    if (this.#isFlushSoon) return;
    this.#isFlushSoon = true;
    setImmediate(() => {
      this.#isFlushSoon = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, LARGEST_BATCH);
      const delivery = this.#delivery.deliver(batch).finally(() => this.#underWay.delete(delivery));
      this.#underWay.add(delivery);
    }
  }

  async #watchWatermarks(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#readWatermarks();
      } catch (error) {
        this.#options.logger.warn({ error }, 'audit watermarks could not be read');
      }
      await this.#options.clock.sleep(WATERMARK_INTERVAL_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  async #readWatermarks(): Promise<void> {
    const rows = await this.#options.watermarks();
    this.#watermarks = new Map(rows.map(({ incarnation, seq }) => [incarnation, seq]));
    await this.#delivery.cover(this.#watermarks);
  }

  async #drainForEver(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#options.clock.sleep(DRAIN_INTERVAL_MS, this.#stop.signal).catch(() => undefined);
      await this.#drain();
    }
  }

  async #drain(): Promise<void> {
    try {
      await this.#delivery.drain();
    } catch (error) {
      this.#options.logger.error({ error }, 'audit journal could not be drained');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#flush();
    await Promise.all(this.#underWay);
    await this.#running;
    const { clock } = this.#options;
    const until = clock.monotonic() + CLOSING_DRAIN_MS;
    while (this.#delivery.unpublishedCount > 0 && this.#redis.isUp() && clock.monotonic() < until) {
      await this.#drain();
      if (this.#delivery.unpublishedCount > 0) await clock.sleep(50);
    }
    await this.#readWatermarks().catch(() => undefined);
    await this.#memory[Symbol.asyncDispose]();
    await this.#journal.close(this.#delivery.coverable(this.#watermarks));
    await this.#redis[Symbol.asyncDispose]();
  }
}

function unavailable(): Failure {
  return fail('audit_unavailable');
}

/** Opens the journal, takes up what an earlier process left, and begins. Rejects when the folder cannot be used. */
export async function createTrail(options: TrailOptions): Promise<Trail> {
  const { auditKey, previousAuditKey, journalDirectory, maxBytes = MAX_BYTES, segmentBytes, newId, logger } = options;
  const incarnation = newId();
  const journal = await Journal.open({
    directory: journalDirectory,
    incarnation,
    maxBytes,
    auditKeys: previousAuditKey === undefined ? [auditKey] : [auditKey, previousAuditKey],
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    onUnreadableLine: () => logger.warn({}, 'a journal line was torn or changed; passed over'),
  });
  const trail = new AuditTrail(options, { journal, incarnation });
  await trail.start();
  return trail;
}
