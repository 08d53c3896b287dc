/**
 * What a service asks of its stores before it serves: a schema as new as its statements, harmless roles, and, in published
 * modes, a Redis that throws nothing away. It stands alone because no service may start on less.
 */
import { requireSchema } from '#mesh/postgres';
import { evictionProblem, readServerFacts, type RedisConnection } from '#mesh/redis';
import type { ServiceName } from '#mesh/topology';
import type { Foundation } from './foundation.ts';

/** The stores of a service, and what is needed to judge them. */
export type StoresInUse = Pick<Foundation, 'database' | 'clock' | 'logger' | 'redis' | 'ledgerRedis'>;

/** How long to wait for migrations that are on their way. */
const schemaWaitMs = 30_000;

/**
 * Resolves when the service may serve on these stores. A Redis that is away does not hold up the start, because services
 * serve without it what they can; it is judged when it comes.
 * @throws store_unavailable when the schema stays too old, an Error naming what is unsafe otherwise.
 */
export async function requireStores(
  service: ServiceName,
  stores: Pick<Foundation, 'database' | 'clock' | 'logger' | 'redis' | 'ledgerRedis'>,
  mode: 'dev' | 'rc' | 'stable',
): Promise<void> {
  const { database, clock, logger, redis, ledgerRedis } = stores;
  const onWait = (sentence: string): void => logger.info({}, sentence);
  await requireSchema({ database, service, clock, waitMs: schemaWaitMs, onWait });
  if (mode === 'dev') return;
  for (const connection of new Set([redis, ledgerRedis])) {
    const problem = await judgeRedis(connection);
    if (problem !== undefined) throw new Error(problem);
    connection.onUp(() => {
      void judgeRedis(connection).then((later) => {
        if (later !== undefined) logger.error({ connection: connection.name }, later);
      });
    });
  }
}

/** Undefined when the server keeps everything, or cannot be asked now. */
async function judgeRedis(redis: RedisConnection): Promise<string | undefined> {
  const facts = await readServerFacts(redis).catch(() => undefined);
  return facts === undefined ? undefined : evictionProblem(facts);
}
