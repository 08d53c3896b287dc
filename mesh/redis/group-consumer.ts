// Consumes a stream as one member of a group, a batch at a time: nothing is acknowledged before it was handled or lies in
// the dead letters, what a dead member left is taken over, and what no one can handle is put aside with its reason.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { StreamName } from '#mesh/topology';
import type { RedisConnection } from './connection.ts';
import { writeDeadLetters, type DeadLetter } from './dead-letters.ts';
import { RedisRefused } from './errors.ts';
import { GroupPosition, type GroupEntry } from './group-position.ts';
import { ensureGroup } from './provision.ts';
import type { Publisher } from './publisher.ts';
import type { StreamSigner } from './stream-signer.ts';

/** An entry of the batch that was not taken, and why; it becomes a dead letter. */
export interface RefusedEntry {
  readonly id: string;
  readonly reason: string;
}

export interface GroupConsumerOptions {
  /** Its settings are used; the consumer blocks on a connection of its own. */
  readonly redis: RedisConnection;
  readonly stream: StreamName;
  readonly group: string;
  /** One per process; a stable name takes up its own unfinished entries after a restart. */
  readonly consumer: string;
  /** When given, entries that do not verify are dead letters and never reach onBatch. */
  readonly signer?: StreamSigner | undefined;
  readonly deadLetter: { readonly stream: StreamName; readonly publisher: Publisher };
  /**
   * Handles a batch, all or nothing but for the entries it names as refused. When it rejects, the same batch comes again
   * after a pause: for ever if the error is passing, else up to maxDeliveries, entry by entry at last.
   */
  readonly onBatch: (entries: readonly GroupEntry[]) => Promise<readonly RefusedEntry[]>;
  /** True for faults that are waited out (a database away). Without it every fault is. */
  readonly isPassing?: (error: unknown) => boolean;
  readonly onDeadLetter?: (letter: DeadLetter) => void;
  readonly batchSize?: number;
  readonly maxDeliveries?: number;
  /** After so long without a word a member's entries are taken over. */
  readonly claimIdleMs?: number;
  /** How often the stream is cut below what the group has acknowledged; 0 leaves it. Only one group's consumer may. */
  readonly trimEveryMs?: number;
  readonly blockMs?: number;
  /**
   * After a batch that was less than half full, this long is waited before the next, so that entries that trickle in come
   * together: what a batch costs is mostly the same for one entry and for a hundred. 0 when left out.
   */
  readonly gatherMs?: number;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
}

export interface GroupConsumer extends AsyncDisposable {
  /** Begins to consume in the background. */
  start(): void;
  /** What the group has not acknowledged: entries delivered, and for how long the oldest has waited, milliseconds. */
  pending(): Promise<{ readonly count: number; readonly oldestMs: number }>;
}

// ledger.md: batches of up to 1000, at most five deliveries.
const BATCH_SIZE = 1_000;
const MAX_DELIVERIES = 5;
const CLAIM_IDLE_MS = 30_000;
const BLOCK_MS = 1_000;
const ANSWER_MS = 2_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

class Member implements GroupConsumer {
  readonly #options: GroupConsumerOptions;
  readonly #connection: RedisConnection;
  readonly #position: GroupPosition;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #nextClaim = 0;
  #nextTrim = 0;

  constructor(options: GroupConsumerOptions) {
    this.#options = options;
    const { redis, blockMs = BLOCK_MS } = options;
    this.#connection = redis.duplicate(`${redis.name}-${options.group}`, blockMs + ANSWER_MS);
    this.#position = new GroupPosition({
      redis: this.#connection,
      stream: options.stream,
      group: options.group,
      consumer: options.consumer,
      batchSize: options.batchSize ?? BATCH_SIZE,
      blockMs,
    });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async pending(): Promise<{ count: number; oldestMs: number }> {
    return await this.#position.pending(this.#options.clock.now());
  }

  async #run(): Promise<void> {
    const { stream, group, logger } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#connection.untilUp(this.#stop.signal);
        await this.#turn();
        pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        // Whatever was being handled is still unacknowledged: it is read again as our own.
        this.#position.reread();
        if (error instanceof RedisRefused && error.code === 'NOGROUP') await this.#recreateGroup();
        logger.warn({ stream, group, error }, 'stream consumer pauses');
        await this.#pause(pauseMs);
        pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
      }
    }
  }

  async #recreateGroup(): Promise<void> {
    await ensureGroup(this.#connection, this.#options.stream, this.#options.group).catch(() => undefined);
  }

  async #pause(ms: number): Promise<void> {
    await this.#options.clock.sleep(ms, this.#stop.signal).catch(() => undefined);
  }

  async #turn(): Promise<void> {
    const { clock, claimIdleMs = CLAIM_IDLE_MS, maxDeliveries = MAX_DELIVERIES, trimEveryMs = 0 } = this.#options;
    const { gatherMs = 0, batchSize = BATCH_SIZE } = this.#options;
    if (clock.monotonic() >= this.#nextClaim) {
      this.#nextClaim = clock.monotonic() + claimIdleMs / 2;
      const claimed = await this.#position.claim(claimIdleMs);
      // Delivered so often and never acknowledged: whoever took it ended with it.
      const worn = claimed.filter(({ deliveries }) => deliveries > maxDeliveries);
      await this.#bury(worn.map((entry) => ({ entry, reason: 'max_deliveries' })));
      await this.#handle(claimed.filter(({ deliveries }) => deliveries <= maxDeliveries));
    }
    const batch = await this.#position.next();
    await this.#handle(batch);
    if (gatherMs > 0 && batch.length > 0 && batch.length < batchSize / 2) await this.#pause(gatherMs);
    if (trimEveryMs > 0 && clock.monotonic() >= this.#nextTrim) {
      this.#nextTrim = clock.monotonic() + trimEveryMs;
      await this.#position.trim();
    }
  }

  async #handle(entries: readonly GroupEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const { signer } = this.#options;
    const unsound: DeadLetter[] = [];
    const sound = entries.filter((entry) => {
      const verdict = signer?.inspect(entry.stream, entry.fields) ?? 'valid';
      if (verdict !== 'valid') unsound.push({ entry, reason: `signature_${verdict}` });
      return verdict === 'valid';
    });
    await this.#bury(unsound);
    if (sound.length === 0) return;
    const refused = await this.#persist(sound);
    if (refused === undefined) return;
    await this.#bury(refused);
    const buried = new Set(refused.map(({ entry }) => entry.id));
    await this.#position.acknowledge(sound.filter(({ id }) => !buried.has(id)));
  }

  // Undefined when this member was stopped before the batch was taken; nothing of it is acknowledged then.
  async #persist(entries: readonly GroupEntry[]): Promise<readonly DeadLetter[] | undefined> {
    const { onBatch, isPassing = () => true, maxDeliveries = MAX_DELIVERIES, logger, stream } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    for (let failures = 0; failures < maxDeliveries;) {
      try {
        return letters(entries, await onBatch(entries));
      } catch (error) {
        if (!isPassing(error)) failures += 1;
        logger.warn({ stream, entries: entries.length, error }, 'stream batch was not taken');
        if (this.#stop.signal.aborted) return undefined;
        await this.#pause(pauseMs);
        if (this.#stop.signal.aborted) return undefined;
        pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
      }
    }
    if (entries.length === 1) return entries.map((entry) => ({ entry, reason: 'handler_failed' }));
    // One entry spoils the batch: each alone, so that only that one is put aside.
    const refused: DeadLetter[] = [];
    for (const entry of entries) {
      const alone = await this.#persist([entry]);
      if (alone === undefined) return undefined;
      refused.push(...alone);
    }
    return refused;
  }

  // The dead letter first, the acknowledgement after it.
  async #bury(dead: readonly DeadLetter[]): Promise<void> {
    if (dead.length === 0) return;
    const { deadLetter, group, logger, onDeadLetter } = this.#options;
    await writeDeadLetters(dead, { ...deadLetter, group });
    for (const letter of dead) {
      logger.error({ stream: letter.entry.stream, entry: letter.entry.id, reason: letter.reason }, 'dead letter');
      onDeadLetter?.(letter);
    }
    await this.#position.acknowledge(dead.map(({ entry }) => entry));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // A waiting read ends after its block time at the latest; a batch being written is finished and acknowledged.
    this.#position.interrupt();
    await this.#running;
    await this.#connection[Symbol.asyncDispose]();
  }
}

function letters(entries: readonly GroupEntry[], refused: readonly RefusedEntry[]): readonly DeadLetter[] {
  const reasons = new Map(refused.map(({ id, reason }) => [id, reason]));
  return entries.flatMap((entry) => {
    const reason = reasons.get(entry.id);
    return reason === undefined ? [] : [{ entry, reason }];
  });
}

export function createGroupConsumer(options: GroupConsumerOptions): GroupConsumer {
  return new Member(options);
}
