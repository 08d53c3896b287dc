// Makes the ledger's monthly partitions ahead of time: at start, then daily.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';

export interface PartitionKeeperOptions {
  readonly ensure: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PartitionKeeper extends AsyncDisposable {
  /** Resolves when the partitions of now exist. */
  start(): Promise<void>;
}

const intervalMs = 86_400_000;
/** Three months stand ahead, so a failed night costs nothing. */
const retryMs = 60_000;

export function createPartitionKeeper({ ensure, clock, logger }: PartitionKeeperOptions): PartitionKeeper {
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    let pauseMs = intervalMs;
    for (;;) {
      await clock.sleep(pauseMs, stopped.signal).catch(() => undefined);
      if (stopped.signal.aborted) return;
      try {
        await ensure();
        pauseMs = intervalMs;
      } catch (error) {
        logger.warn({ error }, 'partitions could not be made ahead and are tried again');
        pauseMs = retryMs;
      }
    }
  };
  return {
    start: async () => {
      await ensure();
      running ??= run();
    },
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
}
