// The STS's connections to Redis: streams in database 0, the ledger's stream where AUDIT_STREAM_URL says, rate limits in
// database 1; and the one signer of everything it writes there.
import { deriveKey } from '#mesh/canonical';
import { createPublisher, createRateLimiter, createRedis, createStreamSigner } from '#mesh/redis';
import type { Publisher, RateLimiter, RedisConnection, StreamSigner } from '#mesh/redis';
import type { Logger } from '#mesh/telemetry';

export interface RedisStoresOptions {
  readonly url: string;
  readonly password: string | undefined;
  readonly auditStreamUrl: string | undefined;
  readonly streamsKey: Uint8Array | undefined;
  readonly previousStreamsKey: Uint8Array | undefined;
  readonly auditKey: Uint8Array;
  readonly logger: Logger;
}

export interface RedisStores extends AsyncDisposable {
  readonly streams: RedisConnection;
  readonly ledger: RedisConnection;
  readonly limiter: RateLimiter;
  readonly signer: StreamSigner;
  readonly publisher: Publisher;
  readonly ledgerPublisher: Publisher;
}

export function createRedisStores(options: RedisStoresOptions): RedisStores {
  const { url, password, logger } = options;
  const streams = createRedis({ url, password, db: 0, name: 'sts', logger });
  const ledger = createRedis({ url: options.auditStreamUrl ?? url, password, name: 'sts-ledger', db: 0, logger });
  const limits = createRedis({ url, password, db: 1, name: 'sts-limits', logger });
  // In dev without STREAMS_HMAC_KEY the STS signs all the same, with a key it can derive.
  const current = options.streamsKey ?? deriveKey(options.auditKey, 'caracal/streams/dev/v1');
  const signer = createStreamSigner({ current, previous: options.previousStreamsKey });
  return {
    streams,
    ledger,
    limiter: createRateLimiter({ redis: limits }),
    signer,
    publisher: createPublisher({ redis: streams, signer }),
    ledgerPublisher: createPublisher({ redis: ledger, signer }),
    async [Symbol.asyncDispose]() {
      for (const connection of [limits, ledger, streams]) await connection[Symbol.asyncDispose]();
    },
  };
}
