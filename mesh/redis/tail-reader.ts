// Follows streams from this process' own cursor, every entry to every replica: what a consumer group would hand to one of
// them. It reports when each read was issued, because freshness counts from there and not from the arrival.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { StreamName } from '#mesh/topology';
import type { RedisConnection } from './connection.ts';
import { compareIds, FIRST_ID, readEntries, readStreamLists, type StreamEntry } from './stream-entry.ts';
import type { SignatureVerdict, StreamSigner } from './stream-signer.ts';

export interface TailRead {
  /** On the monotonic clock, before the read was sent: nothing newer than this is known to have been missed. */
  readonly issuedAtMonotonicMs: number;
  /** False when the answer was full, so that newer entries may already wait behind it. */
  readonly reachedEnd: boolean;
}

export interface TailReaderOptions {
  /** Its settings are used; the reader blocks on a connection of its own. */
  readonly redis: RedisConnection;
  readonly streams: readonly StreamName[];
  readonly signer: StreamSigner;
  /** 'now' begins behind the last entry there is when the reader first reaches Redis. */
  readonly from: 'now' | Readonly<Partial<Record<StreamName, string>>>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  /** Only entries whose signature verified, in the order of their stream. Awaited before the next one. */
  readonly onEntry: (entry: StreamEntry, read: TailRead) => void | Promise<void>;
  /** After every answered read, an empty one too. */
  readonly onRead?: (read: TailRead) => void;
  /** An entry that was put aside. */
  readonly onRejected?: (entry: StreamEntry, verdict: Exclude<SignatureVerdict, 'valid'>) => void;
  readonly onAway?: (error: Error) => void;
  /** The stream ends before the cursor: Redis lost memory. The cursor was set back to what is left. */
  readonly onForgotten?: (stream: StreamName) => void;
  readonly batchSize?: number;
  readonly blockMs?: number;
}

export interface TailReader extends AsyncDisposable {
  /** Begins to read, in the background, for as long as Redis is there or comes back. */
  start(): void;
  /** The id behind which the next read begins; undefined before Redis was reached. */
  cursor(stream: StreamName): string | undefined;
}

const BATCH_SIZE = 500;
// Ends a quiet read often enough that a lost connection shows; heartbeats come once a second anyway.
const BLOCK_MS = 1_000;
// What an answer may take beyond the time it was told to block.
const ANSWER_MS = 1_000;
const AWAY_PAUSE_MS = 100;

class StreamTail implements TailReader {
  readonly #options: TailReaderOptions;
  readonly #connection: RedisConnection;
  readonly #cursors = new Map<StreamName, string>();
  readonly #stop = new AbortController();
  #isPositioned = false;
  #running: Promise<void> | undefined;

  constructor(options: TailReaderOptions) {
    this.#options = options;
    const { redis, blockMs = BLOCK_MS } = options;
    this.#connection = redis.duplicate(`${redis.name}-tail`, blockMs + ANSWER_MS);
    if (options.from === 'now') return;
    for (const stream of options.streams) this.#cursors.set(stream, options.from[stream] ?? FIRST_ID);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  cursor(stream: StreamName): string | undefined {
    return this.#cursors.get(stream);
  }

  async #run(): Promise<void> {
    const { clock, onAway } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#connection.untilUp(this.#stop.signal);
        if (!this.#isPositioned) await this.#position();
        await this.#readOnce();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#isPositioned = false;
        onAway?.(error as Error);
        await clock.sleep(AWAY_PAUSE_MS, this.#stop.signal).catch(() => undefined);
      }
    }
  }

  // After each (re)connection: a first cursor where there is none, an earlier one where the stream ends before it.
  async #position(): Promise<void> {
    for (const stream of this.#options.streams) {
      const reply = await this.#connection.call('XREVRANGE', this.#connection.key(stream), '+', '-', 'COUNT', 1);
      const last = readEntries(stream, reply)[0]?.id ?? FIRST_ID;
      const cursor = this.#cursors.get(stream);
      if (cursor !== undefined && compareIds(last, cursor) >= 0) continue;
      this.#cursors.set(stream, last);
      if (cursor !== undefined) this.#options.onForgotten?.(stream);
    }
    this.#isPositioned = true;
  }

  async #readOnce(): Promise<void> {
    const { streams, clock, onRead, batchSize = BATCH_SIZE, blockMs = BLOCK_MS } = this.#options;
    const keys = streams.map((stream) => this.#connection.key(stream));
    const cursors = streams.map((stream) => this.#cursors.get(stream) ?? FIRST_ID);
    const issuedAtMonotonicMs = clock.monotonic();
    const command = ['COUNT', batchSize, 'BLOCK', blockMs, 'STREAMS', ...keys, ...cursors];
    const lists = readStreamLists(await this.#connection.call('XREAD', ...command));
    let reachedEnd = true;
    for (const [index, stream] of streams.entries()) {
      const entries = readEntries(stream, lists.get(keys[index] ?? ''));
      const isLast = entries.length < batchSize;
      reachedEnd &&= isLast;
      for (const entry of entries) await this.#deliver(entry, { issuedAtMonotonicMs, reachedEnd: isLast });
    }
    if (!this.#stop.signal.aborted) onRead?.({ issuedAtMonotonicMs, reachedEnd });
  }

  async #deliver(entry: StreamEntry, read: TailRead): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { signer, onEntry, onRejected, logger } = this.#options;
    this.#cursors.set(entry.stream, entry.id);
    const verdict = signer.inspect(entry.stream, entry.fields);
    if (verdict !== 'valid') {
      logger.warn({ stream: entry.stream, entry: entry.id, verdict }, 'stream entry put aside');
      onRejected?.(entry, verdict);
      return;
    }
    try {
      await onEntry(entry, read);
    } catch (error) {
      // Numbered streams notice the entry that is missing and read it from its owner.
      logger.error({ stream: entry.stream, entry: entry.id, error }, 'stream entry could not be handled');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#connection[Symbol.asyncDispose]();
    await this.#running;
  }
}

export function createTailReader(options: TailReaderOptions): TailReader {
  return new StreamTail(options);
}
