// HoldWaits on the database's notifications: one listening connection for all who wait in this process.
import type { Database } from '#mesh/postgres';
import type { Clock } from '#mesh/time';
import type { HoldWait, HoldWaits } from '../../ports/hold-waits.ts';

/** What migrations/0021 notifies, with the hold's id. */
const channel = 'caracal_approvals';
/** A waiting request costs a socket and some kilobytes; a zone that has more agents waiting polls. */
const maxWaiting = 1024;
const maxWaitingPerZone = 64;

class Waiter implements HoldWait {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #leave: (waiter: Waiter) => void;
  #woken = Promise.withResolvers<void>();

  constructor(clock: Pick<Clock, 'sleep'>, leave: (waiter: Waiter) => void) {
    this.#clock = clock;
    this.#leave = leave;
  }

  wake(): void {
    this.#woken.resolve();
  }

  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const slept = this.#clock.sleep(timeoutMs, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    await Promise.race([this.#woken.promise, slept]);
    over.abort();
    // What wakes from here on is news to the look that follows.
    this.#woken = Promise.withResolvers<void>();
  }

  [Symbol.dispose](): void {
    this.#leave(this);
  }
}

/** Listens from the first who waits on. */
export function createHoldWaits(
  database: Pick<Database, 'listen'>,
  clock: Pick<Clock, 'sleep'>,
  onWaiting: (waiting: number) => void,
): HoldWaits {
  const byId = new Map<string, Set<Waiter>>();
  const perZone = new Map<string, number>();
  let total = 0;
  let isListening = false;

  const listen = (): void => {
    if (isListening) return;
    isListening = true;
    database.listen(channel, (id) => {
      // Without an id the connection was lost for a while: anything may have changed.
      const woken = id === '' ? [...byId.values()].flatMap((waiters) => [...waiters]) : (byId.get(id) ?? []);
      for (const waiter of woken) waiter.wake();
    });
  };

  return {
    enter(zoneId, id) {
      const ofZone = perZone.get(zoneId) ?? 0;
      if (total >= maxWaiting || ofZone >= maxWaitingPerZone) return undefined;
      listen();
      total += 1;
      onWaiting(total);
      perZone.set(zoneId, ofZone + 1);
      const waiters = byId.get(id) ?? new Set();
      byId.set(id, waiters);
      const waiter = new Waiter(clock, (left) => {
        if (!waiters.delete(left)) return;
        if (waiters.size === 0 && byId.get(id) === waiters) byId.delete(id);
        total -= 1;
        onWaiting(total);
        const rest = (perZone.get(zoneId) ?? 1) - 1;
        if (rest > 0) perZone.set(zoneId, rest);
        else perZone.delete(zoneId);
      });
      waiters.add(waiter);
      return waiter;
    },
  };
}
