// Users: who vouches for them, how they are called, and what they granted. The rules of id tokens are in id-token.ts.
import type { JsonObject } from '#mesh/failure';

/** A live registration; an archived one does not exist. */
export interface SubjectIssuer {
  readonly id: string;
  readonly zoneId: string;
  readonly issuer: string;
  readonly jwksUrl: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** The name a policy sees → the claim it comes from. */
  readonly claims: Readonly<Record<string, string>>;
  readonly mayAct: 'none' | 'id_token' | 'application';
  readonly version: number;
}

/** What one user lets one application do at one resource. */
export interface Grant {
  readonly resourceId: string;
  readonly scopes: readonly string[];
  readonly expiresAtMs: number | undefined;
}

/** A user as vouched for: the name its mandates carry, and what policies may know of it. */
export interface User {
  readonly subject: string;
  readonly claims: JsonObject;
}

/** `sub` of the user's mandates. The issuer's id keeps two issuers and all applications apart (authority.md "Users"). */
export function userSubject(issuerId: string, sub: string): string {
  return `user:${issuerId}:${sub}`;
}

/** The issuer a user mandate's `sub` names; undefined for any other subject. */
export function issuerIdOf(subject: string): string | undefined {
  const [kind, issuerId, sub] = subject.split(':', 3);
  return kind === 'user' && issuerId !== '' && sub !== undefined ? issuerId : undefined;
}

/** The grant at a resource that still holds at `nowMs`. */
export function activeGrant(grants: readonly Grant[], resourceId: string, nowMs: number): Grant | undefined {
  return grants.find(
    (grant) => grant.resourceId === resourceId && (grant.expiresAtMs === undefined || grant.expiresAtMs > nowMs),
  );
}
