// Opens a reader on streams with what all readers of a process share, so that views name only the stream and what to do.
import {
  createTailReader,
  type RedisConnection,
  type StreamEntry,
  type StreamSigner,
  type TailRead,
} from '#mesh/redis';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { StreamName } from '#mesh/topology';

export interface TailHandlers {
  readonly onEntry: (entry: StreamEntry, read: TailRead) => void;
  /** After each answered read and each failed one. */
  readonly onTurn: () => void;
  /** Redis lost what the cursor stood on. */
  readonly onForgotten: () => void;
}

/** Begins to follow a stream from now on. */
export type OpenTail = (stream: StreamName, handlers: TailHandlers) => AsyncDisposable;

export interface TailSourceOptions {
  readonly redis: RedisConnection;
  readonly signer: StreamSigner;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  readonly metrics?: Metrics | undefined;
}

export function createTailSource(options: TailSourceOptions): OpenTail {
  const { redis, signer, clock, logger, metrics } = options;
  const rejected = metrics?.counter({
    name: 'stream_entries_rejected_total',
    help: 'Stream entries put aside because their signature did not verify, by stream and verdict.',
    labels: ['stream', 'verdict'],
  });
  return (stream, { onEntry, onTurn, onForgotten }) => {
    const reader = createTailReader({
      redis,
      streams: [stream],
      signer,
      from: 'now',
      clock,
      logger,
      onEntry,
      onRead: onTurn,
      onAway: onTurn,
      onForgotten,
      onRejected: (_entry, verdict) => rejected?.inc({ stream, verdict }),
    });
    reader.start();
    return reader;
  };
}
