// The Gateway's connections to Redis and what stands on them: streams, single use, rate limits.
import {
  createMemoryWatch,
  createRateLimiter,
  createRedis,
  createReplayStore,
  createStreamSigner,
  type RedisConnection,
  type StreamSigner,
} from '#mesh/redis';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { RateLimiter, ReplayStore } from '../../ports/single-use.ts';

export interface RedisStoresOptions {
  readonly url: string;
  readonly password: string | undefined;
  /** AUDIT_STREAM_URL; undefined means the same server. */
  readonly auditUrl: string | undefined;
  readonly keyPrefix: string | undefined;
  readonly streamsKey: Uint8Array;
  readonly previousStreamsKey: Uint8Array | undefined;
  /** JTI_CACHE_SIZE. */
  readonly knownUsedLimit: number;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Logger;
}

export interface RedisStores extends AsyncDisposable {
  readonly streams: RedisConnection;
  readonly audit: RedisConnection;
  readonly signer: StreamSigner;
  readonly replayStore: ReplayStore;
  readonly rateLimiter: RateLimiter;
}

export function createRedisStores(options: RedisStoresOptions): RedisStores {
  const { url, auditUrl, password, keyPrefix, clock, newId, logger } = options;
  const stack = new AsyncDisposableStack();
  const connect = (to: string, db: number | undefined, name: string): RedisConnection =>
    stack.use(createRedis({ url: to, db, name, password, keyPrefix, logger }));
  const streams = connect(url, 0, 'gateway');
  const limits = connect(url, 1, 'gateway-limits');
  const memory = stack.use(createMemoryWatch({ redis: streams, clock, newId, logger }));
  memory.start();
  return {
    streams,
    audit: auditUrl === undefined ? streams : connect(auditUrl, undefined, 'gateway-audit'),
    signer: createStreamSigner({ current: options.streamsKey, previous: options.previousStreamsKey }),
    replayStore: createReplayStore({ redis: streams, memory, knownUsedLimit: options.knownUsedLimit }),
    rateLimiter: createRateLimiter({ redis: limits }),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}
