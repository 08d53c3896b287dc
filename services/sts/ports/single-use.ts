// The need: that what may be shown once is shown once over all replicas (client assertions, proofs, id tokens).

export interface SpentOnce {
  readonly zoneId: string;
  readonly kind: 'client_assertion' | 'dpop' | 'id_token';
  /** Unique for its kind within the zone. */
  readonly id: string;
  /** How long the thing could still be shown. */
  readonly ttlMs: number;
  /** Not later than it was made: what is older than the store's own memory counts as used. */
  readonly issuedAtMs: number;
}

export interface SingleUse {
  /** Sets the mark and says whether it was the first. Throws `replay_store_unavailable`; never guesses. */
  spend(mark: SpentOnce): Promise<'first' | 'replayed'>;
  /** Whether the marks reach back that far, epoch milliseconds; what may have been shown before counts as used. */
  remembers(issuedAtMs: number): boolean;
}
