// Deletes idempotency receipts that are older than their day.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';

export interface ReceiptPurgeOptions {
  /** Deletes a batch and says how many there were. */
  readonly purge: () => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Receipts are read by age, so that a late purge changes nothing but the table's size. */
const intervalMs = 600_000;

export interface ReceiptPurge extends AsyncDisposable {
  start(): ReceiptPurge;
}

export function createReceiptPurge({ purge, clock, logger }: ReceiptPurgeOptions): ReceiptPurge {
  const stopped = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        // A full batch means there are more.
        while ((await purge()) > 0 && !stopped.signal.aborted);
      } catch (error) {
        logger.warn({ error }, 'old receipts could not be deleted');
      }
      await clock.sleep(intervalMs, stopped.signal).catch(() => undefined);
    }
  };
  const self: ReceiptPurge = {
    start: () => {
      running = run();
      return self;
    },
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
  return self;
}
