// The need: what the STS holds at providers, and attempts to get it, kept so that no replica undoes another's renewal.
import type { Connection } from '../domain/connection.ts';

/** Tokens to be kept; sealed for their row before they are written. */
export interface NewTokens {
  readonly accessToken: string;
  /** Undefined keeps the one that is there. */
  readonly refreshToken: string | undefined;
  readonly providerVersion: number;
  readonly expiresAtMs: number | undefined;
  readonly scopes: readonly string[];
}

export interface ConnectionKey {
  readonly zoneId: string;
  readonly providerId: string;
  /** '' for the whole zone. */
  readonly subject: string;
}

/** The row as it is now, for its holder alone, or why it cannot be had. */
export type Lease =
  | { readonly kind: 'leased'; readonly connection: Connection }
  | { readonly kind: 'held' }
  | { readonly kind: 'absent' };

/** Throws `store_unavailable` when nobody can say. A revoked connection does not exist. */
export interface Connections {
  /** From memory while that is fresh; one coalesced read otherwise. */
  current(key: ConnectionKey): Promise<Connection | undefined>;
  /** As stored now. */
  read(key: ConnectionKey): Promise<Connection | undefined>;
  /** Makes an empty connection of the whole zone unless there is one. */
  ensure(key: ConnectionKey, id: string): Promise<void>;
  /** For one holder at a time; lapses after `leaseMs` by the database's clock. */
  lease(key: ConnectionKey, holder: string, leaseMs: number): Promise<Lease>;
  /** Writes new tokens over version `version` and ends the lease; false when the row has moved on or was revoked. */
  renew(key: ConnectionKey, id: string, renewal: { version: number; tokens: NewTokens }): Promise<boolean>;
  /** Ends the lease. With `error` the connection is broken: nothing is released from it until it is made anew. */
  release(
    key: ConnectionKey,
    id: string,
    end: { holder: string; error?: string; providerVersion?: number },
  ): Promise<void>;
  /** Puts a new connection in the place of the one there may be. */
  replace(key: ConnectionKey, id: string, tokens: NewTokens): Promise<void>;
}

export interface ConnectionAttempt {
  readonly id: string;
  readonly stateDigest: string;
  readonly providerId: string;
  readonly subject: string;
  readonly redirectUri: string;
  readonly actorId: string;
  readonly verifierEnvelope: Uint8Array;
}

export interface ConnectionAttempts {
  /** False when the zone has too many under way. */
  begin(zoneId: string, attempt: ConnectionAttempt, lifeSeconds: number): Promise<boolean>;
  /** Takes it out, so that nobody takes it again. Undefined: unknown, used, expired or another actor's. */
  take(zoneId: string, by: { stateDigest: string; actorId: string }): Promise<ConnectionAttempt | undefined>;
}
