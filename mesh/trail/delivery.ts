// Makes events durable: to Redis and to the journal in the same turn, done when Redis has answered and the journal is
// written, or when the journal is synced if Redis has not. What reached neither is kept and tried again, because its number is already given.
import type { Logger, Metrics } from '#mesh/telemetry';
import { memoryShare, type MemoryWatch, type Publisher, type RedisConnection } from '#mesh/redis';
import type { Clock } from '#mesh/time';
import { auditStreamFields } from './event.ts';
import type { Journal } from './journal.ts';
import type { JournalEntry } from './journal-line.ts';
import { NumberRanges } from './number-ranges.ts';

/** An event and the caller that waits for it, if one does. */
export interface Outgoing {
  readonly entry: JournalEntry;
  readonly settle: (isDurable: boolean) => void;
}

export interface DeliveryOptions {
  readonly incarnation: string;
  readonly redis: RedisConnection;
  readonly memory: MemoryWatch;
  readonly publisher: Publisher;
  readonly journal: Journal;
  /** Above this share of Redis' memory (0 to 1) the journal serves alone. */
  readonly highWaterShare: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  readonly metrics?: Metrics | undefined;
}

// Once Redis did not answer it is left alone for so long, so that a request waits for its deadline once and not each time.
const REDIS_REST_MS = 500;
// Emitting resumes only well below the mark, or it would switch back and forth.
const HIGH_WATER_HYSTERESIS = 0.05;
// About 8 MiB of events; beyond it nothing more is accepted until one of the two works.
const LARGEST_UNSETTLED = 4_000;
const DRAIN_BATCH = 256;

export class Delivery {
  readonly #options: DeliveryOptions;
  // What lies in the journal and has not been confirmed by Redis, by incarnation.
  readonly #unpublished = new Map<string, NumberRanges>();
  readonly #counts;
  // What lies nowhere but here.
  #unsettled: JournalEntry[] = [];
  #redisRestsUntil = 0;
  #isJournalFailing = false;
  #isOverHighWater = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#counts = options.metrics?.counter({
      name: 'audit_emitted_total',
      help: 'Events by how they became durable: stream, journal, or refused because neither worked.',
      labels: ['path'],
    });
    options.metrics?.gauge({
      name: 'audit_journal_bytes',
      help: 'Bytes of evidence in the local journal.',
      read: () => options.journal.bytes,
    });
    options.metrics?.gauge({
      name: 'audit_unpublished_events',
      help: 'Events that wait for Redis.',
      read: () => this.unpublishedCount,
    });
  }

  get unpublishedCount(): number {
    let count = this.#unsettled.length;
    for (const ranges of this.#unpublished.values()) count += ranges.size;
    return count;
  }

  /** False when neither Redis nor journal would take an event now. */
  get isUsable(): boolean {
    return this.#unsettled.length < LARGEST_UNSETTLED && (this.#isRedisUsable() || !this.#isJournalFailing);
  }

  #isRedisUsable(): boolean {
    const { redis, clock, memory, highWaterShare } = this.#options;
    const facts = memory.facts();
    const share = facts === undefined ? 0 : memoryShare(facts);
    this.#isOverHighWater = share > highWaterShare - (this.#isOverHighWater ? HIGH_WATER_HYSTERESIS : 0);
    return !this.#isOverHighWater && redis.isUp() && clock.monotonic() >= this.#redisRestsUntil;
  }

  /** Settles every event of the batch; never rejects. */
  async deliver(batch: readonly Outgoing[]): Promise<void> {
    const entries = batch.map(({ entry }) => entry);
    const isAsked = this.#isRedisUsable();
    // On its way first, so that Redis works while the journal is written.
    const publishing = isAsked ? this.#publish(entries) : Promise.resolve(entries.map(() => false));
    const journalled = this.#journal(entries);
    const published = await publishing;
    // Redis may forget and this process may be killed: with the journal written, both may happen.
    const isJournalled = await journalled;
    const rest = batch.filter((outgoing, index) => {
      if (published[index] === true) outgoing.settle(true);
      return published[index] !== true;
    });
    this.#counts?.inc({ path: 'stream' }, batch.length - rest.length);
    if (rest.length > 0) await this.#settleFromJournal(rest, isJournalled);
  }

  async #settleFromJournal(rest: readonly Outgoing[], isJournalled: boolean): Promise<void> {
    if (isJournalled) this.#await(this.#options.incarnation, rest);
    else this.#unsettled.push(...rest.map(({ entry }) => entry));
    const isDurable = isJournalled && (await this.#sync());
    this.#counts?.inc({ path: isDurable ? 'journal' : 'refused' }, rest.length);
    for (const { settle } of rest) settle(isDurable);
  }

  #await(incarnation: string, outgoing: readonly { readonly entry: JournalEntry }[]): void {
    const ranges = this.#rangesOf(incarnation);
    for (const { entry } of outgoing) ranges.add(entry.seq);
  }

  #rangesOf(incarnation: string): NumberRanges {
    const known = this.#unpublished.get(incarnation);
    if (known !== undefined) return known;
    const ranges = new NumberRanges();
    this.#unpublished.set(incarnation, ranges);
    return ranges;
  }

  async #journal(entries: readonly JournalEntry[]): Promise<boolean> {
    try {
      await this.#options.journal.append(entries);
      this.#isJournalFailing = false;
      return true;
    } catch (error) {
      if (!this.#isJournalFailing) this.#options.logger.error({ error }, 'audit journal takes no events');
      this.#isJournalFailing = true;
      return false;
    }
  }

  async #sync(): Promise<boolean> {
    try {
      await this.#options.journal.sync();
      return true;
    } catch (error) {
      this.#options.logger.error({ error }, 'audit journal could not be synced');
      this.#isJournalFailing = true;
      return false;
    }
  }

  async #publish(entries: readonly JournalEntry[]): Promise<readonly boolean[]> {
    const { publisher, clock, logger } = this.#options;
    const publications = entries.map((entry) => ({
      stream: 'caracal.audit.events' as const,
      fields: auditStreamFields(entry),
    }));
    const outcomes = await publisher.publish(publications);
    const failed = outcomes.find(({ kind }) => kind !== 'published');
    if (failed !== undefined && failed.kind !== 'published') {
      this.#redisRestsUntil = clock.monotonic() + REDIS_REST_MS;
      logger.warn({ error: failed.error }, 'audit events go to the journal');
    }
    return outcomes.map(({ kind }) => kind === 'published');
  }

  /**
   * Everything in the journal above the watermarks goes to Redis (again), beside what waits for it: when Redis lost its
   * memory, or, with no watermarks, after a start, when nobody knows what of it was published.
   */
  publishAgain(watermarks: ReadonlyMap<string, number>): void {
    for (const { incarnation, firstSeq, lastSeq } of this.#options.journal.contents) {
      this.#rangesOf(incarnation).add(Math.max(firstSeq, (watermarks.get(incarnation) ?? 0) + 1), lastSeq);
    }
  }

  /**
   * Up to which numbers the journal may go. A watermark passes numbers that the ledger has given up waiting for: what was
   * never published is kept, whatever the watermark says.
   */
  coverable(watermarks: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    return new Map(
      [...watermarks].map(([incarnation, seq]) => {
        const waiting = this.#unpublished.get(incarnation)?.ranges[0]?.from ?? Number.POSITIVE_INFINITY;
        return [incarnation, Math.min(seq, waiting - 1)];
      }),
    );
  }

  /** The ledger has these: their files may go. */
  async cover(watermarks: ReadonlyMap<string, number>): Promise<void> {
    for (const [incarnation, seq] of this.coverable(watermarks)) await this.#options.journal.cover(incarnation, seq);
  }

  /** One pass over what waits; stops at the first sign that Redis does not take it. */
  async drain(): Promise<void> {
    if (this.#unsettled.length > 0) await this.#drainUnsettled();
    // Room made by a watermark, or a disk that works again, shows with the next event.
    else if (this.#options.journal.hasRoom) this.#isJournalFailing = false;
    for (const [incarnation, ranges] of this.#unpublished) {
      if (ranges.isEmpty) this.#unpublished.delete(incarnation);
      else if (!this.#isRedisUsable() || !(await this.#drainIncarnation(incarnation, ranges))) return;
    }
  }

  async #drainUnsettled(): Promise<void> {
    const entries = this.#unsettled.slice(0, DRAIN_BATCH);
    const isJournalled = await this.#journal(entries);
    const published = this.#isRedisUsable() ? await this.#publish(entries) : entries.map(() => false);
    const left = entries.filter((_entry, index) => published[index] !== true);
    const { incarnation } = this.#options;
    if (isJournalled)
      this.#await(
        incarnation,
        left.map((entry) => ({ entry })),
      );
    this.#unsettled = [...(isJournalled ? [] : left), ...this.#unsettled.slice(entries.length)];
  }

  async #drainIncarnation(incarnation: string, ranges: NumberRanges): Promise<boolean> {
    const wanted = [...ranges.ranges];
    const first = wanted[0]?.from ?? 0;
    let batch: JournalEntry[] = [];
    for await (const entry of this.#options.journal.entries(incarnation, first)) {
      if (!ranges.has(entry.seq)) continue;
      batch.push(entry);
      if (batch.length < DRAIN_BATCH) continue;
      if (!(await this.#publishFromJournal(batch, ranges))) return false;
      batch = [];
    }
    if (batch.length > 0 && !(await this.#publishFromJournal(batch, ranges))) return false;
    this.#giveUpMissing({ incarnation, ranges, wanted });
    return true;
  }

  async #publishFromJournal(batch: readonly JournalEntry[], ranges: NumberRanges): Promise<boolean> {
    const published = await this.#publish(batch);
    for (const [index, { seq }] of batch.entries()) if (published[index] === true) ranges.remove(seq);
    return published.every(Boolean);
  }

  // A pass over the whole journal did not meet these: a line nobody vouches for, or one that was never written. The
  // ledger reports their numbers as an evidence gap.
  #giveUpMissing(pass: {
    readonly incarnation: string;
    readonly ranges: NumberRanges;
    readonly wanted: readonly { readonly from: number; readonly to: number }[];
  }): void {
    const sizeBefore = pass.ranges.size;
    for (const { from, to } of pass.wanted) pass.ranges.remove(from, to);
    const missing = sizeBefore - pass.ranges.size;
    if (missing > 0) {
      this.#options.logger.error(
        { incarnation: pass.incarnation, missing },
        'journalled events could not be read back',
      );
    }
  }
}
