// The need: the credential of a provider for one governed call, from memory wherever one is held.
import type { Provider } from '../domain/directory.ts';

export interface CredentialCall {
  readonly zoneId: string;
  readonly provider: Provider;
  /** For whom, as mandates name it. */
  readonly subject: string;
  readonly subjectType: 'user' | 'application';
}

export interface ObtainedCredential {
  /** What goes after the scheme; empty for kinds without credential. */
  readonly secret: string;
  /** Undefined: until further notice. */
  readonly expiresAtMs: number | undefined;
}

/**
 * A token that is held and fresh costs no I/O; one that is about to expire is renewed once for all who ask, in all
 * replicas. Throws `credential_not_provisioned` (nothing is connected, or the provider has taken it back),
 * `provider_unavailable` (it did not answer), `credential_not_releasable` (it cannot be had by this configuration),
 * `store_unavailable`, `audit_unavailable`.
 */
export interface ProviderCredentials {
  obtain(call: CredentialCall): Promise<ObtainedCredential>;
}
