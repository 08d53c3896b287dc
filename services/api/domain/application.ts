// An application: an identity that asks for mandates.

/** What a client authenticates with. `public` has nothing and cannot ask for mandates by itself. */
export const credentialTypes = ['token', 'public'] as const;
export type CredentialType = (typeof credentialTypes)[number];

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
  readonly expiresAt?: string | undefined;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}
