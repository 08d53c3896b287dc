// Who accepts which mandate: class, audience, zone and target of authority.md's table as one pure rule per verifier.
// Signature, issuer and time are the verifier's; sender proof, single use, anchors and scopes are the caller's next steps.
import type { MandateClaims } from './claims.ts';

export type MandatePlace =
  // `subject_token` and `actor_token` of the token endpoint.
  | { readonly at: 'token_endpoint'; readonly issuer: string; readonly zoneId: string }
  | { readonly at: 'coordinator'; readonly issuer: string; readonly zoneId: string }
  | { readonly at: 'gateway'; readonly issuer: string; readonly zoneId: string; readonly resource: string }
  | { readonly at: 'watch_revocations'; readonly issuer: string; readonly zoneId: string };

/** Why a mandate is refused at a place; for evidence and logs, the caller is told invalid_token. */
export type MandateRefusal =
  'wrong_zone' | 'wrong_use' | 'wrong_audience' | 'wrong_target' | 'via_gateway' | 'wrong_scope';

// The scope without which the Coordinator serves nobody.
const LIFECYCLE_SCOPE = 'agent:lifecycle';

const isFor = (claims: MandateClaims, audience: string): boolean =>
  claims.aud.length === 1 && claims.aud[0] === audience;

function refuseAmbient(claims: MandateClaims, issuer: string): MandateRefusal | undefined {
  if (claims.use !== 'ambient') return 'wrong_use';
  return isFor(claims, issuer) ? undefined : 'wrong_audience';
}

function refuseAtGateway(claims: MandateClaims, issuer: string, resource: string): MandateRefusal | undefined {
  if (claims.use === 'ambient' && !isFor(claims, issuer)) return 'wrong_audience';
  if (claims.use === 'per_call' && !claims.aud.includes(resource)) return 'wrong_audience';
  return claims.target?.includes(resource) === true ? undefined : 'wrong_target';
}

/** Undefined when the place accepts the mandate. Tokens with `via` are refused at all of these: they are for one upstream. */
export function refuseMandate(claims: MandateClaims, place: MandatePlace): MandateRefusal | undefined {
  if (claims.via !== undefined) return 'via_gateway';
  if (claims.zone_id !== place.zoneId) return 'wrong_zone';
  switch (place.at) {
    case 'gateway':
      return refuseAtGateway(claims, place.issuer, place.resource);
    case 'coordinator': {
      const refusal = refuseAmbient(claims, place.issuer);
      if (refusal !== undefined) return refusal;
      return claims.scope?.split(' ').includes(LIFECYCLE_SCOPE) === true ? undefined : 'wrong_scope';
    }
    case 'token_endpoint':
    case 'watch_revocations':
      return refuseAmbient(claims, place.issuer);
  }
}
