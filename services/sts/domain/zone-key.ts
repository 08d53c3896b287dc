// When a zone's key signs and when it verifies. The windows of a zone's keys follow each other without a gap; the database
// decides them, and every replica judges them by the database's time.

/** Epoch milliseconds. */
export interface KeyWindow {
  readonly signsFromMs: number;
  /** Undefined for the newest key. */
  readonly signsUntilMs: number | undefined;
  /** From then on it is out of JWKS. Never before `signsUntilMs`. */
  readonly retiresAtMs: number | undefined;
}

/** How far the clocks of our own services may differ from the database's (authority.md, Expiry). */
const leewayMs = 5000;

/** In JWKS: published ahead, signing, or kept until the last mandate it signed has expired. */
export function isPublished(key: KeyWindow, nowMs: number): boolean {
  return key.retiresAtMs === undefined || nowMs < key.retiresAtMs;
}

/**
 * Asked in the turn that signs, with a key that was chosen a moment before: its window may have ended meanwhile by no more
 * than the leeway, and it must be in JWKS still.
 */
export function maySign(key: KeyWindow, nowMs: number): boolean {
  if (!isPublished(key, nowMs) || nowMs + leewayMs < key.signsFromMs) return false;
  // A key that was retired while it was published only has an empty window.
  const { signsFromMs, signsUntilMs } = key;
  return signsUntilMs === undefined || (signsFromMs < signsUntilMs && nowMs < signsUntilMs + leewayMs);
}

/** The key whose window it is; in the seconds after a zone was made, by a clock that is behind, its first one. */
export function signingKeyOf<K extends KeyWindow>(newestFirst: readonly K[], nowMs: number): K | undefined {
  const hasEnded = ({ signsUntilMs }: K): boolean => signsUntilMs !== undefined && nowMs >= signsUntilMs;
  const waiting = newestFirst.filter((key) => !hasEnded(key) && isPublished(key, nowMs));
  const oldest = waiting.at(-1);
  return (
    waiting.find(({ signsFromMs }) => signsFromMs <= nowMs) ?? (oldest && maySign(oldest, nowMs) ? oldest : undefined)
  );
}
