// A connection at a provider as administrators see it: who it is for and how it stands. Its tokens never leave the STS.

export interface Connection {
  readonly id: string;
  readonly zoneId: string;
  readonly providerId: string;
  /** The user it is for, as mandates name them; '' for the whole zone. */
  readonly subject: string;
  readonly state: 'active' | 'broken' | 'revoked';
  /** As the provider words them. */
  readonly scopes: readonly string[];
  readonly expiresAt?: string | undefined;
  /** Why it is broken, in a word. */
  readonly lastError?: string | undefined;
  readonly failedAt?: string | undefined;
  readonly createdAt: string;
  readonly refreshedAt?: string | undefined;
  readonly revokedAt?: string | undefined;
}
