// What time is it for this installation: the interface every part takes, and the clock that follows the database.
// It stands alone because no service may judge an expiry by its host's wall clock.
import { setTimeout as wait } from 'node:timers/promises';

export interface Clock {
  /** The installation's time, epoch milliseconds. Small corrections never make it go back. */
  now(): number;
  /** Milliseconds since an arbitrary moment before this process served; never steps, never goes back. */
  monotonic(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface DisciplinedClock extends Clock {
  /**
   * Takes over a time read from the database (epoch milliseconds). `readIssuedAtMonotonicMs` is when the read was sent;
   * the read happened between then and this call, and the clock moves only as far as that proves it wrong.
   */
  observe(databaseTimeMs: number, readIssuedAtMonotonicMs: number): void;
  /** Installation's time minus the host's wall clock, milliseconds. A metric. */
  offsetMs(): number;
  /** False until the first observation; `now()` is the host's time until then. */
  isSet(): boolean;
}

/** Where a clock gets its raw readings; injected in tests. */
export interface TimeSource {
  readonly wall: () => number;
  readonly monotonic: () => number;
}

const hostTime: TimeSource = { wall: () => Date.now(), monotonic: () => performance.now() };

/** setTimeout fires at once above 2^31-1 ms, so longer sleeps are made of pieces. */
const longestTimerMs = 2 ** 31 - 1;

/** A correction backwards smaller than this holds the clock still until time has caught up; a larger one is a step. */
const heldCorrectionMs = 1000;

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  let left = Math.max(0, ms);
  try {
    do {
      const piece = Math.min(left, longestTimerMs);
      await wait(piece, undefined, signal === undefined ? {} : { signal });
      left -= piece;
    } while (left > 0);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** A clock that follows the database once it has been observed; steps of the host's clock do not move it then. */
export function createClock(source: TimeSource = hostTime): DisciplinedClock {
  // Installation's time minus the monotonic reading. Undefined until the first observation.
  let offset: number | undefined;
  let latest = Number.NEGATIVE_INFINITY;

  function reading(): number {
    return offset === undefined ? source.wall() : source.monotonic() + offset;
  }

  function now(): number {
    const current = reading();
    if (offset === undefined) return current;
    if (latest - current > heldCorrectionMs) latest = current;
    else latest = Math.max(latest, current);
    return latest;
  }

  return {
    now,
    monotonic: source.monotonic,
    sleep,
    observe(databaseTimeMs, readIssuedAtMonotonicMs) {
      if (!Number.isFinite(databaseTimeMs) || !Number.isFinite(readIssuedAtMonotonicMs)) return;
      const lowest = databaseTimeMs - source.monotonic();
      const highest = Math.max(lowest, databaseTimeMs - readIssuedAtMonotonicMs);
      const current = offset ?? (lowest + highest) / 2;
      offset = Math.min(Math.max(current, lowest), highest);
    },
    offsetMs: () => (offset === undefined ? 0 : reading() - source.wall()),
    isSet: () => offset !== undefined,
  };
}
