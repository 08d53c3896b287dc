// Which mandate is good for what: the acceptance table of authority.md as data and one function that reads it. Anything
// the table does not name is refused, so a new verifier starts with nothing accepted.
import type { MandateClaims } from '#mesh/mandate';

export type Verifier = 'token_endpoint' | 'gateway' | 'session_mint';

interface Cell {
  readonly use: MandateClaims['use'];
  /** What `aud` must be: exactly the issuer, or a list with the resource in it. */
  readonly audience: 'issuer' | 'resource';
  /** When true the resource must be among the mandate's targets. */
  readonly targeted: boolean;
  readonly scope?: string;
}

/** The scope that opens the Coordinator to a mandate; it belongs to no resource. */
export const lifecycleScope = 'agent:lifecycle';

export const acceptance: { readonly [V in Verifier]: readonly Cell[] } = {
  token_endpoint: [{ use: 'ambient', audience: 'issuer', targeted: false }],
  gateway: [
    { use: 'ambient', audience: 'issuer', targeted: true },
    { use: 'per_call', audience: 'resource', targeted: true },
  ],
  session_mint: [{ use: 'ambient', audience: 'issuer', targeted: false, scope: lifecycleScope }],
};

export interface Acceptance {
  readonly verifier: Verifier;
  readonly issuer: string;
  readonly zoneId: string;
  /** The resource asked for; undefined where none is named. */
  readonly resource?: string | undefined;
}

export type AcceptanceVerdict =
  { readonly kind: 'accepted' } | { readonly kind: 'refused'; readonly cause: AcceptanceRefusal };
export type AcceptanceRefusal =
  | 'upstream_mandate'
  | 'wrong_zone'
  | 'wrong_class'
  | 'wrong_audience'
  | 'wrong_target'
  | 'missing_scope'
  | 'proof_required';

function refused(cause: AcceptanceRefusal): AcceptanceVerdict {
  return { kind: 'refused', cause };
}

function audienceFits(claims: MandateClaims, cell: Cell, expected: Acceptance): boolean {
  if (cell.audience === 'issuer') return claims.aud.length === 1 && claims.aud[0] === expected.issuer;
  return expected.resource !== undefined && claims.aud.includes(expected.resource);
}

/**
 * Whether verified claims are good at this verifier. A mandate made for an upstream (`via`) is good nowhere here; one
 * that is bound to a key (`cnf`) needs its proof, which nothing here can check yet, so it is refused.
 */
export function accept(claims: MandateClaims, expected: Acceptance): AcceptanceVerdict {
  if (claims.via !== undefined) return refused('upstream_mandate');
  if (claims.zone_id !== expected.zoneId) return refused('wrong_zone');
  if (claims.cnf !== undefined) return refused('proof_required');
  const cell = acceptance[expected.verifier].find((candidate) => candidate.use === claims.use);
  if (!cell) return refused('wrong_class');
  if (!audienceFits(claims, cell, expected)) return refused('wrong_audience');
  if (cell.targeted && !(expected.resource !== undefined && claims.target?.includes(expected.resource))) {
    return refused('wrong_target');
  }
  if (cell.scope !== undefined && !scopesOf(claims).includes(cell.scope)) return refused('missing_scope');
  return { kind: 'accepted' };
}

/** The mandate's scopes as a list; none when the claim is absent. */
export function scopesOf(claims: MandateClaims): readonly string[] {
  return claims.scope === undefined || claims.scope === '' ? [] : claims.scope.split(' ');
}
