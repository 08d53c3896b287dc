// What a caller of the STS shows to prove that it holds a key (RFC 9449, RFC 8705), as it was presented.

export interface PresentedProof {
  /** The one DPoP header; undefined without one. */
  readonly dpop: string | undefined;
  readonly method: 'POST';
  /** The path asked for, without query. */
  readonly path: string;
  /** `x5t#S256` of the TLS client certificate (RFC 8705 §3.1); undefined without one. */
  readonly certificateThumbprint: string | undefined;
}
