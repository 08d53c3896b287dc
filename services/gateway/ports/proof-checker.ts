// The need: whether a DPoP proof (RFC 9449) is right for a governed call, and nonces that make one fresh.

export interface ShownProof {
  /** The one DPoP header. */
  readonly dpop: string;
  readonly method: string;
  /** The request target as received. */
  readonly target: string;
  /** The mandate it came with. */
  readonly accessToken: string;
}

/** A proof that is right, with what makes it good once. */
export interface CheckedProof {
  /** RFC 7638 thumbprint of its key. */
  readonly jkt: string;
  readonly replayId: string;
  /** How long it could still be shown. */
  readonly ttlMs: number;
  /** It can not have been accepted before. */
  readonly issuedAtMs: number;
  /** Its sender works with nonces, and will want the next one. */
  readonly hasNonce: boolean;
}

export interface ProofChecker {
  /** Throws `dpop_proof_rejected` or `dpop_nonce_required`. Says nothing of single use. */
  check(shown: ShownProof): CheckedProof;
  /** For the DPoP-Nonce header. */
  nonce(): string;
  /** What proofs may be signed with, for challenges and metadata. */
  readonly algorithms: readonly string[];
}
