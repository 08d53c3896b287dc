// How long a mandate lives: the smallest of request, class cap and every bound it inherits. It stands alone because no
// mint may reckon its own expiry.
import { earliestExpiry } from '#mesh/authority';

export type MandateUse = 'ambient' | 'per_call';

/** Caps of authority.md "Mandates": an ambient mandate outlives a work shift's step, a per_call one a single call. */
export const capSeconds: { readonly [U in MandateUse]: number } = { ambient: 3600, per_call: 900 };
/** Both classes default to a quarter of an hour. */
const defaultSeconds = 900;
/** A mandate for an upstream (`via: gateway`) is spent within the call it was made for. */
export const upstreamSeconds = 60;

export interface LifetimeRequest {
  readonly use: MandateUse;
  /** What was asked for; 0 or undefined means the default. */
  readonly requestedSeconds: number | undefined;
  readonly nowMs: number;
  /** Expiries of everything above: subject, session, edges, their constraints. */
  readonly boundsMs: readonly (number | undefined)[];
}

export type LifetimeVerdict =
  | { readonly kind: 'granted'; readonly issuedAt: number; readonly expiresAt: number }
  | { readonly kind: 'above_cap'; readonly capSeconds: number }
  | { readonly kind: 'nothing_left' };

/**
 * Issue and expiry in whole seconds since 1970. A request above the class cap is refused; above an inherited bound it is
 * capped. Rounding is always towards the shorter life.
 */
export function lifetimeOf(request: LifetimeRequest): LifetimeVerdict {
  const cap = capSeconds[request.use];
  const wanted = request.requestedSeconds ? request.requestedSeconds : defaultSeconds;
  if (wanted > cap) return { kind: 'above_cap', capSeconds: cap };
  const issuedAt = Math.floor(request.nowMs / 1000);
  const ends = earliestExpiry((issuedAt + wanted) * 1000, ...request.boundsMs);
  const expiresAt = Math.floor(ends / 1000);
  return expiresAt > issuedAt ? { kind: 'granted', issuedAt, expiresAt } : { kind: 'nothing_left' };
}
