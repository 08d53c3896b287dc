// Which mandate is good for what at the STS: the installation's one acceptance rule, and how the scopes of a mandate read.
import { lifecycleScope, refuseMandate } from '#mesh/authority';
import type { MandateClaims } from '#mesh/mandate';

export { lifecycleScope, refuseMandate };
export type { MandatePlace, MandateRefusal, ProvenKey } from '#mesh/authority';

/** The mandate's scopes as a list; none when the claim is absent. */
export function scopesOf(claims: MandateClaims): readonly string[] {
  return claims.scope === undefined || claims.scope === '' ? [] : claims.scope.split(' ');
}
