// A connection of the STS at a provider: whether its token can be used now, and whether it is worth asking for another.
// Pure, because every replica must judge a row alike.

/** As stored; tokens stay sealed. */
export interface Connection {
  readonly id: string;
  readonly providerId: string;
  /** '' for the whole zone. */
  readonly subject: string;
  readonly state: 'active' | 'broken' | 'revoked';
  readonly accessEnvelope: Uint8Array | undefined;
  readonly refreshEnvelope: Uint8Array | undefined;
  readonly refreshVersion: number;
  /** The provider's version that the tokens were obtained under. */
  readonly providerVersion: number;
  readonly expiresAtMs: number | undefined;
  readonly refreshedAtMs: number | undefined;
  readonly failedAtMs: number | undefined;
  /** Why it is broken: a word of ours or of RFC 6749 §5.2. */
  readonly lastError: string | undefined;
  readonly scopes: readonly string[];
}

/** A token is replaced this long before it expires: longer than any call that may carry it needs to arrive. */
const refreshSkewMs = 30_000;
/** A token this close to its end would expire on the way. */
const lastUseMs = 2000;
/** A provider that refused our own credentials is asked again after this long, or at once when it is configured anew. */
const refusedPauseMs = 30_000;

/** How good the row's token is: fresh, only good enough when no other can be had, or not at all. */
export function tokenState(connection: Connection, nowMs: number): 'fresh' | 'aging' | 'spent' {
  const { accessEnvelope, expiresAtMs, refreshedAtMs, state } = connection;
  if (state !== 'active' || accessEnvelope === undefined) return 'spent';
  if (expiresAtMs === undefined) return 'fresh';
  // A token that lives for less than a minute is replaced at half its life, or every call would fetch one.
  const lifeMs = expiresAtMs - (refreshedAtMs ?? 0);
  const skewMs = Math.min(refreshSkewMs, lifeMs / 2);
  if (expiresAtMs - skewMs > nowMs) return 'fresh';
  return expiresAtMs - lastUseMs > nowMs ? 'aging' : 'spent';
}

/** What was refused was the grant itself, so that only a new consent helps. */
const lostGrants: ReadonlySet<string> = new Set(['invalid_grant', 'expired_without_refresh_token']);

export interface Asking {
  /** True for tokens the client gets for itself; false for what somebody has consented to. */
  readonly selfService: boolean;
  readonly providerVersion: number;
  readonly nowMs: number;
}

/**
 * True while asking the provider again would be refused again. A client that gets tokens for itself is asked for again after
 * a pause. What somebody has consented to is lost with its grant; where only our client was refused, it is found again as
 * soon as the provider is configured anew.
 */
export function isHopeless(connection: Connection, { selfService, providerVersion, nowMs }: Asking): boolean {
  const { state, failedAtMs, lastError = '' } = connection;
  if (state !== 'broken') return false;
  const isConfiguredAnew = connection.providerVersion !== providerVersion;
  if (!selfService) return lostGrants.has(lastError) || !isConfiguredAnew;
  return !isConfiguredAnew && failedAtMs !== undefined && failedAtMs + refusedPauseMs > nowMs;
}

/**
 * When a new access token is to be replaced. The cap bounds how long one is used before it is renewed; a token that
 * cannot be renewed lives as long as its provider says.
 */
export function tokenExpiryMs(about: {
  readonly askedAtMs: number;
  readonly expiresInSeconds: number | undefined;
  readonly capSeconds: number;
  readonly renewable: boolean;
}): number | undefined {
  const { askedAtMs, expiresInSeconds, capSeconds, renewable } = about;
  if (!renewable) return expiresInSeconds === undefined ? undefined : askedAtMs + expiresInSeconds * 1000;
  return askedAtMs + Math.min(expiresInSeconds ?? capSeconds, capSeconds) * 1000;
}
