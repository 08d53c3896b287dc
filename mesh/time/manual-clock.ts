// Time that stands still until a test moves it.
// It stands beside the real clock because every library's tests need the same one.
import type { DisciplinedClock } from './clock.ts';

interface Sleeper {
  readonly wakeAtMs: number;
  readonly wake: () => void;
}

/** 2026-01-01T00:00:00Z: a round, recognisable start for tests that name none. */
const defaultStartMs = Date.UTC(2026, 0, 1);

/** Lets everything run that the last wake-up made ready, promises and immediate callbacks alike. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A clock for tests: moves only by {@link ManualClock.advance}; observations of the database are ignored. */
export class ManualClock implements DisciplinedClock {
  private readonly startMs: number;
  private elapsedMs = 0;
  private sleepers: Sleeper[] = [];

  constructor(startMs: number = defaultStartMs) {
    this.startMs = startMs;
  }

  now(): number {
    return this.startMs + this.elapsedMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  /** How many sleeps are pending: lets a test wait until the code under test has gone to sleep. */
  sleeping(): number {
    return this.sleepers.length;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason as Error);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const sleeper: Sleeper = { wakeAtMs: this.elapsedMs + Math.max(0, ms), wake };
      signal?.addEventListener('abort', abort, { once: true });
      this.sleepers.push(sleeper);
    });
  }

  /**
   * Moves time forward and wakes sleepers on the way, in the order of their times and, for equal times, of their calls.
   * What a sleeper does next runs before the following one wakes, and its new sleeps count too.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError('time moves forward');
    const target = this.elapsedMs + ms;
    await settle();
    for (let next = this.nextUntil(target); next !== undefined; next = this.nextUntil(target)) {
      const woken = next;
      this.sleepers = this.sleepers.filter((other) => other !== woken);
      this.elapsedMs = Math.max(this.elapsedMs, woken.wakeAtMs);
      woken.wake();
      await settle();
    }
    this.elapsedMs = target;
    await settle();
  }

  private nextUntil(targetMs: number): Sleeper | undefined {
    let next: Sleeper | undefined;
    for (const sleeper of this.sleepers) {
      if (sleeper.wakeAtMs <= targetMs && (next === undefined || sleeper.wakeAtMs < next.wakeAtMs)) next = sleeper;
    }
    return next;
  }

  /** Ignored: a test's time is what the test says. */
  observe(_databaseTimeMs: number, _readIssuedAtMonotonicMs: number): void {}

  offsetMs(): number {
    return 0;
  }

  isSet(): boolean {
    return true;
  }
}
