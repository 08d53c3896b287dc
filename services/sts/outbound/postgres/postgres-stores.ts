// The STS's connections to Postgres: one pool for requests, and a small one for revocation, whose lease must not wait
// behind them.
import { createPool } from '#mesh/postgres';
import type { Database } from '#mesh/postgres';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { ProducerWatermark } from '#mesh/trail';

export interface PostgresStoresOptions {
  /** `config.stores`. */
  readonly settings: {
    readonly databaseUrl: string;
    readonly databasePoolMax: number;
    readonly databaseStatementTimeoutMs: number;
    readonly databaseConnectTimeoutMs: number;
  };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface PostgresStores extends AsyncDisposable {
  readonly database: Database;
  readonly revocationDatabase: Database;
  /** Up to which number the ledger holds what the STS produced. */
  watermarks(): Promise<readonly ProducerWatermark[]>;
}

/** A renewal that takes longer than this is lost anyway: the lease is a few seconds. */
const revocationStatementMs = 2000;

export function createPostgresStores(options: PostgresStoresOptions): PostgresStores {
  const { settings, clock, logger, metrics } = options;
  const { databaseUrl: connectionString, databaseConnectTimeoutMs: connectTimeoutMs } = settings;
  const { databasePoolMax: max, databaseStatementTimeoutMs: statementTimeoutMs } = settings;
  const shared = { service: 'sts', connectionString, connectTimeoutMs, clock, logger } as const;
  const database = createPool({ ...shared, max, statementTimeoutMs, metrics });
  const revocationDatabase = createPool({ ...shared, max: 2, statementTimeoutMs: revocationStatementMs });
  return {
    database,
    revocationDatabase,
    async watermarks() {
      const rows = await database.query<{ incarnation: string; seq: string }>(
        'SELECT incarnation, seq FROM audit_pub.producer_watermarks($1)',
        ['sts'],
      );
      return rows.map(({ incarnation, seq }) => ({ incarnation, seq: Number(seq) }));
    },
    async [Symbol.asyncDispose]() {
      await revocationDatabase[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}
