// Keeps a clock on the database's time in services that tail no stream and so get no heartbeats: a read a second. It stands
// alone because every expiry is judged by one time, and which host's clock is wrong must never matter.
import type { Logger } from '#mesh/telemetry';
import type { DisciplinedClock } from '#mesh/time';
import type { Database } from './database.ts';

/** authority.md, Expiry: a read of clock_timestamp() every second. */
const intervalMs = 1_000;

export interface DatabaseClockOptions {
  readonly database: Pick<Database, 'now'>;
  readonly clock: DisciplinedClock;
  readonly logger: Logger;
}

/**
 * Sets the clock once before it resolves, then every second until it is disposed of. While the database is away the clock
 * goes on by itself, monotonically.
 * @throws store_unavailable when the first read fails.
 */
export async function followDatabaseClock({ database, clock, logger }: DatabaseClockOptions): Promise<AsyncDisposable> {
  const read = async (): Promise<void> => {
    const issuedAt = clock.monotonic();
    clock.observe(await database.now(), issuedAt);
  };
  await read();
  const stopped = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(intervalMs, stopped.signal).catch(() => undefined);
      if (stopped.signal.aborted) return;
      await read().catch((error: unknown) => logger.debug({ error }, 'the database did not tell its time'));
    }
  };
  const running = run();
  return {
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
}
