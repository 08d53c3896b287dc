// What the mandate of a user rests on besides itself: the issuer that vouched for the user, what the user granted to the
// application that holds the mandate, and what policies may know of the user. Looked up anew at every use.
import { intersect } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { MandateClaims } from '#mesh/mandate';
import { holderOf } from '../domain/actor.ts';
import type { Resource } from '../domain/directory.ts';
import { activeGrant, issuerIdOf } from '../domain/subject-issuer.ts';
import type { Grant } from '../domain/subject-issuer.ts';
import type { Subjects } from '../ports/subjects.ts';

export interface UserDeps {
  readonly subjects: Subjects;
}

export interface UserAuthority {
  /** Expired ones included; `grantedAt` knows which still hold. */
  readonly grants: readonly Grant[];
  /** The mapped claims of the user. */
  readonly claims: JsonObject;
}

/** Throws `invalid_token` when nobody vouches for the user any more. */
export async function userAuthority(deps: UserDeps, mandate: MandateClaims): Promise<UserAuthority> {
  const { zone_id: zoneId, sub, sid } = mandate;
  const [issuers, grants, claims] = await Promise.all([
    deps.subjects.issuers(zoneId),
    deps.subjects.grants(zoneId, holderOf(mandate), sub),
    deps.subjects.claims(zoneId, sid),
  ]);
  const issuerId = issuerIdOf(sub);
  if (!issuers.some(({ id }) => id === issuerId))
    throw fail('invalid_token', { privateDetail: 'unknown_subject_issuer' });
  // Without its record nobody knows what policies were to see, and a policy may deny by what it sees.
  if (!claims) throw fail('invalid_token', { privateDetail: 'unknown_session_record' });
  return { grants, claims };
}

export interface GrantedResource {
  /** The scopes of the resource that the user granted. */
  readonly scopes: readonly string[];
  readonly endsAtMs: number | undefined;
}

/** What the user granted at a resource; undefined when nothing, or nothing that still holds. */
export function grantedAt(
  { grants }: Pick<UserAuthority, 'grants'>,
  resource: Pick<Resource, 'id' | 'scopes'>,
  nowMs: number,
): GrantedResource | undefined {
  const grant = activeGrant(grants, resource.id, nowMs);
  return grant && { scopes: intersect(resource.scopes, grant.scopes), endsAtMs: grant.expiresAtMs };
}
