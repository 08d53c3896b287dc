// Runs a job at an interval until it is disposed of; a failure is logged and tried again sooner.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';

export interface IntervalJobOptions {
  /** What the job does, for the log: "partitions are made ahead". */
  readonly what: string;
  readonly run: () => Promise<void>;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface IntervalJob extends AsyncDisposable {
  /** Runs the job once and rejects when that fails; afterwards at its interval. */
  start(): Promise<void>;
}

/** Soon after a failure, unless the job is due sooner anyway. */
const retryMs = 60_000;

export function createIntervalJob({ what, run, intervalMs, clock, logger }: IntervalJobOptions): IntervalJob {
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  const repeat = async (): Promise<void> => {
    let pauseMs = intervalMs;
    for (;;) {
      await clock.sleep(pauseMs, stopped.signal).catch(() => undefined);
      if (stopped.signal.aborted) return;
      try {
        await run();
        pauseMs = intervalMs;
      } catch (error) {
        logger.warn({ error }, `${what}: failed, tried again`);
        pauseMs = Math.min(intervalMs, retryMs);
      }
    }
  };
  return {
    start: async () => {
      await run();
      running ??= repeat();
    },
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
}
