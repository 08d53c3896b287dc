// The need: sealing for a row and opening what was sealed for it. Nothing else in the installation opens an envelope.

export interface SealLocation {
  readonly table: string;
  readonly column: string;
  readonly rowId: string;
}

export interface Vault {
  seal(plaintext: Uint8Array, location: SealLocation): Uint8Array;
  /** Throws when the envelope was sealed for another row or under an unknown key. */
  open(envelope: Uint8Array, location: SealLocation): Uint8Array;
  /** Sealed under the present key-encryption key. */
  isCurrent(envelope: Uint8Array): boolean;
  /** Names the present key-encryption key in envelopes. */
  readonly currentKeyId: string;
  /** A new P-256 key: private part as PKCS #8, and the public JWK under `keyId`. */
  makeSigningKey(keyId: string): { readonly privateKey: Uint8Array; readonly publicJwk: object };
}
