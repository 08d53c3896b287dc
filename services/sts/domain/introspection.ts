// Who may learn what a mandate is worth, and in which words it is told (RFC 7662 §2.2).
import type { JsonObject } from '#mesh/failure';
import type { MandateClaims } from '#mesh/mandate';
import type { Application } from './directory.ts';

/** RFC 7662 §2.2: all that anyone else learns. */
export type Introspection = { readonly active: false } | (JsonObject & { readonly active: true });

export const inactive: Introspection = { active: false };

/**
 * The client it was issued to, and whoever serves one of the resources it is made out to. An ambient mandate is made out to
 * the STS, which nobody serves, whatever they are registered for.
 */
export function mayKnow(application: Pick<Application, 'id' | 'serves'>, claims: MandateClaims): boolean {
  if (claims.client_id === application.id) return true;
  return claims.use === 'per_call' && claims.aud.some((audience) => application.serves.includes(audience));
}

/** What verifiers never need and outsiders could draw conclusions from. */
const untold: ReadonlySet<string> = new Set(['rev']);

/** The claims as they were signed, with how the mandate is to be presented. Members that say nothing are absent. */
export function introspectionOf(claims: MandateClaims): Introspection {
  const told = Object.entries(claims).filter(([name, value]) => !untold.has(name) && value !== undefined);
  const tokenType = claims.cnf?.jkt === undefined ? 'Bearer' : 'DPoP';
  return { ...Object.fromEntries(told), active: true, token_type: tokenType };
}
