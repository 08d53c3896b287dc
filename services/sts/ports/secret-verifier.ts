// The need: whether a client secret is the one whose hash is stored, at a bounded cost.

export interface SecretClaim {
  readonly zoneId: string;
  readonly applicationId: string;
  /** Undefined costs the same as a hash that does not match. */
  readonly storedHash: string | undefined;
  readonly secret: string;
}

/**
 * A verified secret is remembered until the stored hash changes. Throws `rate_limited` when too many derivations wait,
 * in all or for this zone.
 */
export interface SecretVerifier {
  verify(claim: SecretClaim): Promise<boolean>;
}

/** Counts failed authentications per (application, source address); it never refuses anyone who is right. */
export interface FailureCounter {
  /** Counts one failure; true when there were more than allowed within the last minute. */
  failed(applicationId: string, source: string): boolean;
}
