// A waiting room for one loop: it sleeps until it is woken or its time is up. It stands alone because both halves of a relay
// sleep the same way, and a wake-up during work must not be lost.
import type { Clock } from '#mesh/time';

export class WakeUp {
  readonly #clock: Clock;
  #woken = false;
  #interrupt: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the current wait, or makes the next one return at once. */
  wake(): void {
    this.#woken = true;
    this.#interrupt?.();
  }

  /** Resolves when woken, after `ms`, or when `stop` fires, whichever is first. Never rejects. */
  async wait(ms: number, stop: AbortSignal): Promise<void> {
    if (!this.#woken && !stop.aborted && ms > 0) {
      const interrupted = new AbortController();
      this.#interrupt = () => interrupted.abort();
      await this.#clock.sleep(ms, AbortSignal.any([interrupted.signal, stop])).catch(() => {});
      this.#interrupt = undefined;
    }
    this.#woken = false;
  }
}
