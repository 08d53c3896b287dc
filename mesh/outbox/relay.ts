// The relay of a service: what its transactions wrote gets to Redis, in order where order is promised, however long Redis or
// the database are away. It stands alone because every replica of every producing service runs exactly this.
import { isUnavailable } from '#mesh/postgres';
import { relayBatch } from './claimed-relay.ts';
import { runNumberedRelay } from './numbered-relay.ts';
import { createRelayMetrics, type RelayMetrics, type RelayOptions } from './relay-options.ts';
import { WakeUp } from './wake-up.ts';

export interface Relay extends AsyncDisposable {
  start(): void;
  /** Looks at once. Notifications of the database do the same. */
  wake(): void;
}

/** Pause after Redis or the database were away. */
const faultPauseMs = 500;

/** Purging and counting are cheap by index, and nobody waits for them. */
const housekeepingMs = 10_000;
const purgeBatch = 5_000;
const hourMs = 3_600_000;

/** Makes a relay; nothing happens before `start`. Disposing ends it between two batches: no row is left half done. */
export function createRelay(options: RelayOptions): Relay {
  const metrics = createRelayMetrics(options.metrics);
  const stop = new AbortController();
  const claimed = new WakeUp(options.clock);
  const numbered = new WakeUp(options.clock);
  const wake = (): void => {
    claimed.wake();
    numbered.wake();
  };
  let running: Promise<unknown> | undefined;
  let listening: AsyncDisposable | undefined;
  const again = { isDue: options.ledgerMemory !== undefined };
  options.ledgerMemory?.onLoss(() => {
    again.isDue = true;
    claimed.wake();
  });
  return {
    start() {
      if (running !== undefined) return;
      listening = options.database.listen(`caracal_outbox_${options.service}`, wake);
      running = Promise.all([
        runClaimedRelay({ options, metrics, wakeUp: claimed, again, stop: stop.signal }),
        runNumberedRelay({ options, metrics, wakeUp: numbered, stop: stop.signal }),
        keepHouse(options, metrics, stop.signal),
      ]);
    },
    wake,
    async [Symbol.asyncDispose]() {
      stop.abort();
      wake();
      await listening?.[Symbol.asyncDispose]();
      await running;
    },
  };
}

interface ClaimedRelay {
  readonly options: RelayOptions;
  readonly metrics: RelayMetrics;
  readonly wakeUp: WakeUp;
  /** Whether what the ledger lacks must be published again. */
  readonly again: { isDue: boolean };
  readonly stop: AbortSignal;
}

async function runClaimedRelay(relay: ClaimedRelay): Promise<void> {
  while (!relay.stop.aborted) {
    const pauseMs = await drainClaimed(relay);
    await relay.wakeUp.wait(pauseMs, relay.stop);
  }
}

/** Publishes until nothing is left or nothing goes; how long to wait then. */
async function drainClaimed({ options, metrics, again, stop }: ClaimedRelay): Promise<number> {
  try {
    while (!stop.aborted) {
      // Between two batches: what this replica has published but not settled would be missed.
      if (again.isDue) await publishAgain(options, again);
      const outcome = await relayBatch(options, metrics);
      if (outcome === 'empty') break;
      if (outcome === 'away') {
        await options.clock.sleep(faultPauseMs, stop).catch(() => {});
        return 0;
      }
    }
    return options.pollMs;
  } catch (error) {
    logFault(options, error, 'the relay could not work');
    await options.clock.sleep(faultPauseMs, stop).catch(() => {});
    return 0;
  }
}

async function publishAgain({ database, service, logger }: RelayOptions, again: { isDue: boolean }): Promise<void> {
  // Before the statement, so that a loss that is noticed meanwhile is not forgotten.
  again.isDue = false;
  try {
    const [row] = await database.query<{ count: number }>(`SELECT ${service}.outbox_publish_again() AS count`);
    const count = row?.count ?? 0;
    if (count > 0) logger.warn({ count }, 'events that the ledger does not have are published again');
  } catch (error) {
    again.isDue = true;
    throw error;
  }
}

function logFault(options: RelayOptions, error: unknown, message: string): void {
  const fields = { error: error instanceof Error ? error.message : String(error) };
  if (isUnavailable(error)) options.logger.warn(fields, message);
  else options.logger.error(fields, message);
}

/** Purges published rows by age and tells how much waits. */
async function keepHouse(options: RelayOptions, metrics: RelayMetrics, stop: AbortSignal): Promise<void> {
  const { database, service, clock } = options;
  const keepSeconds = (options.keepPublishedMs ?? hourMs) / 1000;
  while (!stop.aborted) {
    try {
      await database.query(`SELECT ${service}.outbox_purge(make_interval(secs => $1::float8), $2)`, [
        keepSeconds,
        purgeBatch,
      ]);
      const [state] = await database.query<{ pending: number; dead: number; oldest_ms: string }>(
        `SELECT pending, dead, oldest_ms FROM ${service}.outbox_state()`,
      );
      if (state !== undefined) {
        metrics.backlog({ pending: state.pending, dead: state.dead, oldestMs: Number(state.oldest_ms) });
      }
    } catch (error) {
      logFault(options, error, 'the outbox could not be tidied');
    }
    await clock.sleep(housekeepingMs, stop).catch(() => {});
  }
}
