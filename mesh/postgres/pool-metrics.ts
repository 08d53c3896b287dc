// What a pool tells about itself. It stands alone so that the database's code does not depend on whether anyone counts.
import type { Metrics } from '#mesh/telemetry';
import type { Pool } from 'pg';

export interface PoolMetrics {
  retried(): void;
  /** Seconds from asking for a connection to the end of the transaction, retries included. */
  took(seconds: number): void;
}

export function createPoolMetrics(pool: Pool, metrics: Metrics | undefined): PoolMetrics {
  if (metrics === undefined) return { retried: () => {}, took: () => {} };
  metrics.gauge({
    name: 'database_connections',
    help: 'Open connections to Postgres.',
    read: () => pool.totalCount,
  });
  metrics.gauge({
    name: 'database_connections_idle',
    help: 'Open connections to Postgres that serve nobody now.',
    read: () => pool.idleCount,
  });
  metrics.gauge({
    name: 'database_waiting',
    help: 'Transactions that wait for a connection.',
    read: () => pool.waitingCount,
  });
  const retries = metrics.counter({
    name: 'database_retries_total',
    help: 'Transactions run again after a serialization failure or deadlock.',
  });
  const seconds = metrics.histogram({
    name: 'database_transaction_seconds',
    help: 'Duration of transactions, waiting for a connection included.',
  });
  return { retried: () => retries.inc(), took: (value) => seconds.observe(value) };
}
