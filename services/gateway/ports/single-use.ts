// Remembers across all replicas which single-use mandates and proofs were used, and how many calls an application made.

export interface SingleUse {
  readonly zoneId: string;
  readonly kind: 'per_call' | 'dpop';
  readonly id: string;
  /** How long the thing could still be shown. */
  readonly ttlMs: number;
  /** What is older than the store's own memory counts as used. */
  readonly issuedAtMs: number;
}

export interface ReplayStore {
  /** Sets the mark and says whether it was the first. Rejects with `replay_store_unavailable`; never guesses. */
  spend(mark: SingleUse): Promise<'first' | 'replayed'>;
  /** Whether the marks reach back that far, epoch milliseconds; what may have been shown before counts as used. */
  remembers(issuedAtMs: number): boolean;
}

export interface RateLimiter {
  /** Counts one call. Rejects with `limiter_unavailable`. */
  take(use: { key: string; limit: number; windowSeconds: number }): Promise<{ allowed: boolean; retryAfterMs: number }>;
}
