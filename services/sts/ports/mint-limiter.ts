// The need: how many mandates an application may mint for a resource in a minute.

export interface MintLimiter {
  /** Counts one mint. Throws `limiter_unavailable` when nobody counts and the mode does not serve without. */
  take(zoneId: string, resourceId: string, applicationId: string): Promise<{ allowed: boolean; retryAfterMs: number }>;
}
