// The need: whether a DPoP proof (RFC 9449) is right for a request, and nonces that make one fresh.

export interface ProofQuestion {
  /** The one DPoP header, as it was presented. */
  readonly dpop: string;
  readonly method: string;
  /** Which of our outside addresses the proof must be made for: the STS's own, or the Coordinator's. */
  readonly at: 'sts' | 'coordinator';
  /** The path asked for, without query. */
  readonly path: string;
  /** The token the proof came with, whose hash it must carry (`ath`); undefined where there was none. */
  readonly accessToken?: string | undefined;
  /** A proof must carry a nonce of ours even if the client's clock is right. */
  readonly requireNonce: boolean;
}

export interface CheckedProof {
  /** RFC 7638 thumbprint of the proof's key. */
  readonly jkt: string;
  /** Names this proof among all proofs of a zone; what makes it good once. */
  readonly replayId: string;
  /** How long this very proof could still be shown, milliseconds. */
  readonly ttlMs: number;
  /** Not later than the proof was made, on the installation's clock, epoch milliseconds. */
  readonly issuedAtMs: number;
}

export interface ProofChecker {
  /**
   * Pure but for the clock: single use is the caller's next step. Throws `invalid_dpop_proof`, and `use_dpop_nonce` when a
   * nonce of ours is wanted, has aged, or would make up for a client's wrong clock.
   */
  check(question: ProofQuestion): CheckedProof;
  /** A nonce that any replica accepts for the next minute. */
  nonce(): string;
}
