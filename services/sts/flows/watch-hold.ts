// What has become of a hold, for whoever was given its secret; waits for a decision when asked to.
import { fail } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import type { HoldStatus, HoldStore } from '../ports/hold-store.ts';
import type { HoldWaits } from '../ports/hold-waits.ts';

export interface WatchHoldDeps {
  readonly holds: Pick<HoldStore, 'status'>;
  readonly holdWaits: HoldWaits;
  readonly clock: Pick<Clock, 'monotonic'>;
}

export interface HoldQuestion {
  readonly id: string;
  readonly secret: string;
  /** 0 does not wait; at most 25 s. */
  readonly waitMs: number;
  /** Aborted when nobody waits for the answer any more, or this process is about to end. */
  readonly signal: AbortSignal;
}

export interface HoldAnswered {
  readonly status: HoldStatus;
  /** Milliseconds before it is worth asking again; undefined when it was waited for as asked. */
  readonly askAgainMs: number | undefined;
}

/** Notifications come at once; this is for the one that was lost with its connection. */
const lookAgainMs = 5000;
/** For who may not wait here: as often as a notification would be missed by nobody. */
const busyMs = 2000;
/** So that an expiry is looked at when it has happened. */
const afterExpiryMs = 20;

/** The state, or `not_found` for an unknown hold and a wrong secret alike. */
export async function watchHold(deps: WatchHoldDeps, question: HoldQuestion): Promise<HoldAnswered> {
  const { id, secret, waitMs, signal } = question;
  const first = await deps.holds.status(id, secret);
  if (!first) throw fail('not_found', { description: 'There is no such approval.' });
  if (first.state !== 'pending' || waitMs === 0) return { status: first, askAgainMs: undefined };
  using wait = deps.holdWaits.enter(first.zoneId, id);
  if (!wait) return { status: first, askAgainMs: busyMs };
  const endsAtMs = deps.clock.monotonic() + waitMs;
  // Looked at once more after entering: a decision between the two woke nobody.
  let status = (await deps.holds.status(id, secret)) ?? first;
  while (status.state === 'pending' && !signal.aborted) {
    const leftMs = endsAtMs - deps.clock.monotonic();
    if (leftMs <= 0) break;
    await wait.changed(Math.min(leftMs, lookAgainMs, status.remainingMs + afterExpiryMs), signal);
    status = (await deps.holds.status(id, secret)) ?? status;
  }
  return { status, askAgainMs: undefined };
}
