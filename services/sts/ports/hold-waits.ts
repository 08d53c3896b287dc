// The need: to hear soon that a hold has changed, without asking its store over and over. A hint, never the truth: whoever
// is woken looks, and whoever is not woken looks after a while.
export interface HoldWait extends Disposable {
  /** Resolves when the hold may have changed since the last call, at the latest after `timeoutMs` or when aborted. */
  changed(timeoutMs: number, signal: AbortSignal): Promise<void>;
}

export interface HoldWaits {
  /** Undefined when this process, or the zone in it, has as many waiting as it may. */
  enter(zoneId: string, id: string): HoldWait | undefined;
}
