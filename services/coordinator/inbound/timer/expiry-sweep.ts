// Runs the expiry of sessions at an interval, one pass at a time, until it is disposed of.
import type { Clock } from '#mesh/time';
import type { Logger } from '#mesh/telemetry';

export interface ExpirySweepOptions {
  readonly expire: () => Promise<number>;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ExpirySweep extends AsyncDisposable {
  start(): void;
}

export function createExpirySweep(options: ExpirySweepOptions): ExpirySweep {
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        const ended = await options.expire();
        if (ended > 0) options.logger.info({ ended }, 'sessions expired');
      } catch (error) {
        options.logger.warn({ error }, 'the expiry of sessions failed and is tried again');
      }
      await options.clock.sleep(options.intervalMs, stopped.signal).catch(() => undefined);
    }
  };
  return {
    start: () => void (running ??= run()),
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await running;
    },
  };
}
