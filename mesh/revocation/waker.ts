// A pause that someone else can end early. It stands alone because loops here wait for time and for events alike.
import type { Clock } from '#mesh/time';

export interface Waker {
  /** Resolves after the time, or as soon as wake() is called during or since the last pause. */
  rest(ms: number): Promise<void>;
  wake(): void;
}

export function createWaker(clock: Pick<Clock, 'sleep'>): Waker {
  let resting: AbortController | undefined;
  let isAwake = false;
  return {
    async rest(ms) {
      if (!isAwake) {
        resting = new AbortController();
        await clock.sleep(ms, resting.signal).catch(() => undefined);
        resting = undefined;
      }
      isAwake = false;
    },
    wake() {
      isAwake = true;
      resting?.abort();
    },
  };
}
