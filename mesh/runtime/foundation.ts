/**
 * What every service stands on, opened from its settings in the one right order: clock, log, metrics, Postgres, Redis, keys.
 * It stands alone so that five wirings begin alike and say only what is their own.
 */
import { createPool, type Database } from '#mesh/postgres';
import { createPublisher, createRedis, createStreamSigner } from '#mesh/redis';
import type { Publisher, RedisConnection, StreamSigner } from '#mesh/redis';
import { createLogger, createMetrics } from '#mesh/telemetry';
import type { Logger, LogLevel, Metrics } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import type { DisciplinedClock } from '#mesh/time';
import type { ServiceName } from '#mesh/topology';

/** The groups of a service's configuration that this reads; the tables of #mesh/config make them. */
export interface FoundationSettings {
  readonly listener: { readonly logLevel: LogLevel; readonly replicaId?: string | undefined };
  readonly stores: {
    readonly databaseUrl: string;
    readonly databasePoolMax: number;
    readonly databaseConnectTimeoutMs: number;
    readonly databaseStatementTimeoutMs: number;
    readonly redisUrl: string;
    readonly redisPassword?: string | undefined;
    readonly auditStreamUrl?: string | undefined;
  };
  readonly keys: {
    readonly streamsHmacKey?: Uint8Array | undefined;
    readonly streamsHmacKeyPrevious?: Uint8Array | undefined;
  };
}

export interface Foundation extends AsyncDisposable {
  readonly clock: DisciplinedClock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly database: Database;
  /** Streams, database 0. */
  readonly redis: RedisConnection;
  /** The audit stream's Redis: AUDIT_STREAM_URL, else the same connection. */
  readonly ledgerRedis: RedisConnection;
  /** Undefined in dev without STREAMS_HMAC_KEY: entries are then neither signed nor checked. */
  readonly signer: StreamSigner | undefined;
  readonly publisher: Publisher;
  readonly ledgerPublisher: Publisher;
}

/** Streams live in database 0, rate limits in 1 (the seeds). */
const streamsDatabase = 0;

/** Opens nothing on the network yet: stores connect when first used. Disposing closes them. */
export function openFoundation(service: ServiceName, settings: FoundationSettings): Foundation {
  const { listener, stores, keys } = settings;
  const clock = createClock();
  const logger = createLogger({ service, level: listener.logLevel, replica: listener.replicaId });
  const metrics = createMetrics(service);
  const database = createPool({
    service,
    connectionString: stores.databaseUrl,
    max: stores.databasePoolMax,
    statementTimeoutMs: stores.databaseStatementTimeoutMs,
    connectTimeoutMs: stores.databaseConnectTimeoutMs,
    logger,
    metrics,
    clock,
  });
  const connect = (url: string): RedisConnection =>
    createRedis({ url, password: stores.redisPassword, db: streamsDatabase, name: service, logger });
  const redis = connect(stores.redisUrl);
  const ledgerRedis = stores.auditStreamUrl === undefined ? redis : connect(stores.auditStreamUrl);
  const signer =
    keys.streamsHmacKey === undefined
      ? undefined
      : createStreamSigner({ current: keys.streamsHmacKey, previous: keys.streamsHmacKeyPrevious });
  const publisher = createPublisher({ redis, signer });
  return {
    clock,
    logger,
    metrics,
    database,
    redis,
    ledgerRedis,
    signer,
    publisher,
    ledgerPublisher: ledgerRedis === redis ? publisher : createPublisher({ redis: ledgerRedis, signer }),
    [Symbol.asyncDispose]: async () => {
      await redis[Symbol.asyncDispose]();
      if (ledgerRedis !== redis) await ledgerRedis[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}
