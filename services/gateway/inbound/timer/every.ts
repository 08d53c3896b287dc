// Runs something again and again until it is told to stop; one run at a time, and a failed one ends nothing.
import type { Clock } from '#mesh/time';

export function every(
  intervalMs: number,
  work: () => void | Promise<void>,
  { clock, onError }: { clock: Clock; onError: (error: unknown) => void },
): AsyncDisposable {
  const stop = new AbortController();
  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      await clock.sleep(intervalMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return;
      try {
        await work();
      } catch (error) {
        onError(error);
      }
    }
  }
  const running = run();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
