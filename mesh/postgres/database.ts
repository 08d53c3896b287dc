// The database as a service sees it: transactions bound to a zone, read-only transactions over all zones, and nothing else
// that could touch a zone's rows. It stands alone because this is the one door to them.
import { isTextId, type ZoneId } from '#mesh/ids';
import { fail } from '#mesh/failure';
import type { ServiceName } from '#mesh/topology';
import type { Logger, Metrics } from '#mesh/telemetry';
import { createClock, type Clock } from '#mesh/time';
import pg from 'pg';
import { connectionConfig, putOnRole, type ConnectionSettings } from './connections.ts';
import { isRetryable, translated } from './errors.ts';
import { tryLead, type Leadership } from './leadership.ts';
import { createListener, type NotificationHandler } from './listener.ts';
import { createPoolMetrics } from './pool-metrics.ts';
import { loaderRole } from './roles.ts';
import {
  asLoaderTransaction,
  asZoneTransaction,
  openTransaction,
  runStatement,
  type LoaderTransaction,
  type Transaction,
  type ZoneSequence,
  type ZoneTransaction,
} from './transaction.ts';

export interface ZoneOptions {
  /** Becomes caracal.request_id: joins what definer functions record to the request. */
  readonly requestId?: string | undefined;
  readonly isolation?: 'read committed' | 'repeatable read' | undefined;
  readonly readOnly?: boolean | undefined;
}

/**
 * Everything rejects with `store_unavailable` when the database is away, too slow, or in conflict time and again. Other
 * errors of the driver pass through; `violatedUnique` reads them.
 */
export interface Database extends AsyncDisposable {
  /** Runs the work in one transaction bound to the zone. Only a serialization failure or a deadlock runs it again. */
  inZone<T>(zone: ZoneId, work: (tx: ZoneTransaction) => Promise<T>, options?: ZoneOptions): Promise<T>;
  /** One transaction that enters zones one after another; outside a zone it sees no zone's rows. Same retries. */
  inZones<T>(work: (zones: ZoneSequence) => Promise<T>): Promise<T>;
  /** One read-only transaction as the service's loader, which sees all zones of the service's own tables. */
  acrossZones<T>(work: (tx: LoaderTransaction) => Promise<T>): Promise<T>;
  /** One statement outside any zone: definer functions and tables that belong to no zone. Never run again. */
  query<R extends object>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Calls the handler on each notification of the channel and after each reconnection. */
  listen(channel: string, handler: NotificationHandler): AsyncDisposable;
  /** Takes the lead of that name among the replicas of this service, or undefined when another has it. */
  tryLead(name: string): Promise<Leadership | undefined>;
  /** The database's time, epoch milliseconds. */
  now(): Promise<number>;
  /** Resolves when the database answers. */
  ping(): Promise<void>;
}

export interface PoolOptions {
  readonly service: ServiceName;
  readonly connectionString: string;
  /** Connections at most. */
  readonly max?: number | undefined;
  readonly statementTimeoutMs?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
  readonly clock?: Clock | undefined;
}

/** Ten per process and two processes per core keep a small server's hundred connections far from their end. */
const defaultMax = 10;
/** Every statement of a request is an index look-up; one that takes longer than this holds up what it should serve. */
const defaultStatementTimeoutMs = 5_000;
const defaultConnectTimeoutMs = 5_000;
const idleConnectionMs = 60_000;

/** Conflicts are short; after five the store counts as overloaded. */
const attemptsAtMost = 5;
const conflictPauseMs = 5;

/** Opens a pool for a service. Connects when first used. */
export function createPool(options: PoolOptions): Database {
  const settings: ConnectionSettings = {
    service: options.service,
    connectionString: options.connectionString,
    statementTimeoutMs: options.statementTimeoutMs ?? defaultStatementTimeoutMs,
    connectTimeoutMs: options.connectTimeoutMs ?? defaultConnectTimeoutMs,
  };
  const clock = options.clock ?? createClock();
  const pool = new pg.Pool({
    ...connectionConfig(settings, ''),
    // Statements that need nothing of each other's answers leave together; they still run one after another.
    pipeline: true,
    max: options.max ?? defaultMax,
    idleTimeoutMillis: idleConnectionMs,
    // oxlint-disable-next-line typescript/no-misused-promises -- pg-pool waits for the promise; its types do not say so
    onConnect: (client) => putOnRole(client, settings.service),
  });
  // A connection may end while a transaction holds it: that transaction's next statement reports it, the process lives on.
  pool.on('connect', (client) => client.on('error', () => {}));
  pool.on('error', (error) => options.logger.warn({ error: error.message }, 'an idle database connection was lost'));
  const listener = createListener({ settings, clock, logger: options.logger });
  const transact = createTransactor({ pool, clock, metrics: createPoolMetrics(pool, options.metrics) });
  const query = async <R extends object>(text: string, values?: readonly unknown[]): Promise<R[]> =>
    (await translating(() => runStatement<R>(pool as unknown as pg.PoolClient, text, values))).rows;

  return {
    inZone: async (zone, work, zoneOptions = {}) =>
      transact(beginInZone(zone, zoneOptions), (tx) =>
        work(asZoneTransaction(tx, { zoneId: zone, service: settings.service })),
      ),
    inZones: (work) => transact('BEGIN', (tx, isOpen) => work(zoneSequence(tx, { isOpen, service: settings.service }))),
    acrossZones: (work) =>
      transact(`BEGIN READ ONLY; SET LOCAL ROLE ${loaderRole(settings.service)}`, (tx) =>
        work(asLoaderTransaction(tx)),
      ),
    query,
    listen: (channel, handler) => listener.on(channel, handler),
    tryLead: (name) => translating(() => tryLead(settings, `${settings.service}/${name}`)),
    now: async () => {
      const [row] = await query<{ ms: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms');
      return row?.ms ?? Number.NaN;
    },
    ping: async () => {
      await query('SELECT 1');
    },
    [Symbol.asyncDispose]: async () => {
      await listener[Symbol.asyncDispose]();
      await pool.end();
    },
  };
}

/** One round trip. The literals are safe: ids hold neither quotes nor backslashes, and anything else is refused here. */
function beginInZone(zone: ZoneId, { requestId, isolation, readOnly }: ZoneOptions): string {
  const parts = [`BEGIN${isolation === undefined ? '' : ` ISOLATION LEVEL ${isolation.toUpperCase()}`}`];
  if (readOnly === true) parts[0] += ' READ ONLY';
  parts.push(`SET LOCAL caracal.zone_id = '${checkedId(zone)}'`);
  if (requestId !== undefined) parts.push(`SET LOCAL caracal.request_id = '${checkedId(requestId)}'`);
  return parts.join('; ');
}

function checkedId(id: string): string {
  if (!isTextId(id)) throw fail('invalid_request', { privateDetail: 'not an id where a transaction needs one' });
  return id;
}

function zoneSequence(
  tx: Transaction,
  { isOpen, service }: { isOpen: () => boolean; service: ServiceName },
): ZoneSequence {
  let entered = 0;
  return {
    ...tx,
    enter: async (zone) => {
      entered += 1;
      const own = entered;
      await tx.query("SELECT set_config('caracal.zone_id', $1, true)", [checkedId(zone)]);
      const guarded = <A extends unknown[], T>(run: (...values: A) => Promise<T>) => {
        return async (...values: A): Promise<T> => {
          if (own !== entered || !isOpen()) throw new Error('the transaction has left this zone');
          return run(...values);
        };
      };
      const statements = { query: guarded(tx.query), one: guarded(tx.one), execute: guarded(tx.execute) };
      return asZoneTransaction(statements, { zoneId: zone, service });
    },
  };
}

async function translating<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw translated(error);
  }
}

type Work<T> = (tx: Transaction, isOpen: () => boolean) => Promise<T>;

interface TransactorOptions {
  readonly pool: pg.Pool;
  readonly clock: Clock;
  readonly metrics: ReturnType<typeof createPoolMetrics>;
}

function createTransactor({ pool, clock, metrics }: TransactorOptions) {
  return async <T>(begin: string, work: Work<T>): Promise<T> => {
    const startedMs = clock.monotonic();
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await runOnce(pool, begin, work);
        } catch (error) {
          if (!isRetryable(error) || attempt >= attemptsAtMost) throw translated(error);
          metrics.retried();
          await clock.sleep(conflictPauseMs * 2 ** attempt * Math.random());
        }
      }
    } finally {
      metrics.took((clock.monotonic() - startedMs) / 1000);
    }
  };
}

async function runOnce<T>(pool: pg.Pool, begin: string, work: Work<T>): Promise<T> {
  const client = await pool.connect();
  let open = true;
  let broken: Error | undefined;
  // Leaves together with the work's first statement. Should it fail alone, that statement finds no zone and writes nothing.
  const begun = client.query(begin).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  try {
    const result = await work(
      openTransaction(client, () => open),
      () => open,
    );
    const refused = await begun;
    if (refused !== undefined) throw refused.error;
    open = false;
    const committed = await client.query('COMMIT');
    // A statement failed and its error was swallowed: Postgres answers COMMIT with ROLLBACK.
    if (committed.command !== 'COMMIT')
      throw new Error('the transaction was rolled back: a statement in it had failed');
    return result;
  } catch (error) {
    open = false;
    broken = await rollBack(client);
    throw (await begun)?.error ?? error;
  } finally {
    client.release(broken);
  }
}

/** Undefined when the connection is good for another transaction. */
async function rollBack(client: pg.PoolClient): Promise<Error | undefined> {
  try {
    await client.query('ROLLBACK');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
