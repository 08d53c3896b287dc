// An application: an identity that asks for mandates.
import type { PublicKeySet } from './public-keys.ts';

/**
 * What a client authenticates with: a secret made here, assertions it signs with keys of its own (RFC 7523), or nothing:
 * `public` cannot ask for mandates by itself.
 */
export const credentialTypes = ['token', 'public-key', 'public'] as const;
export type CredentialType = (typeof credentialTypes)[number];

/** Whether its mandates are bound to a key it proves: never, when it proves one, or always. */
export const senderConstraints = ['off', 'allowed', 'required'] as const;

/** A party by what its own mandate says of it: the client, the subject, or both. */
export interface ActorName {
  readonly client_id?: string | undefined;
  readonly sub?: string | undefined;
}

export interface Application {
  readonly id: string;
  readonly zoneId: string;
  readonly name: string;
  readonly registrationMethod: string;
  readonly credentialType: string;
  readonly traits: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly consent: string;
  readonly senderConstraint: string;
  /** Only with credential type `public-key`. */
  readonly publicKeys?: PublicKeySet | undefined;
  /** Who may act for this one when it is the subject (RFC 8693 §4.4). */
  readonly mayAct: readonly ActorName[];
  /** Identifiers of the resources it serves, and whose mandates it may introspect. */
  readonly serves: readonly string[];
  readonly expiresAt?: string | undefined;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}
