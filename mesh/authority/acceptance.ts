// Who accepts which mandate: the acceptance table of authority.md as data, and the one function that reads it. It stands
// with the rules of authority because every verifier of the installation, whatever it is made of, must decide the same.

/** The claims that acceptance turns on; every mandate has them. */
export interface AcceptedClaims {
  readonly use: 'ambient' | 'per_call';
  readonly aud: readonly string[];
  readonly zone_id: string;
  readonly scope?: string;
  readonly target?: readonly string[];
  readonly cnf?: { readonly jkt?: string; readonly 'x5t#S256'?: string };
  readonly via?: string;
}

/** The key a caller has shown to hold, by its thumbprints; none of them when nothing was proven. */
export interface ProvenKey {
  /** RFC 7638 thumbprint of the key that signed the DPoP proof. */
  readonly jkt?: string | undefined;
  /** RFC 8705 §3.1 thumbprint of the TLS client certificate. */
  readonly x5tS256?: string | undefined;
}

interface AtIssuer {
  // `token_endpoint` stands for `subject_token` and `actor_token` alike; `coordinator` also for the session mandates the STS
  // mints on a bearer the Coordinator passes on.
  readonly at: 'token_endpoint' | 'coordinator' | 'watch_revocations';
  readonly issuer: string;
}

interface AtGateway {
  readonly at: 'gateway';
  readonly issuer: string;
  readonly resource: string;
}

/** A verifier in front of, or inside, the one resource it is configured for. */
interface AtResource {
  readonly at: 'resource';
  readonly resource: string;
}

export type MandatePlace = (AtIssuer | AtGateway | AtResource) & {
  /** The zone the verifier is configured for, or that was asked for. */
  readonly zoneId: string;
  /** Absent: nothing was proven. */
  readonly proven?: ProvenKey | undefined;
};

/** Why a mandate is refused at a place; for evidence and logs, the caller is told invalid_token. */
export type MandateRefusal =
  'via_gateway' | 'wrong_zone' | 'wrong_use' | 'wrong_audience' | 'wrong_target' | 'proof_required' | 'wrong_scope';

interface Cell {
  readonly use: AcceptedClaims['use'];
  /** What `aud` must be: the issuer alone, a list with the resource in it, or the resource alone. */
  readonly audience: 'issuer' | 'holds_resource' | 'resource';
  /** The resource must be among the targets. */
  readonly targeted?: true;
  readonly scope?: string;
  /** Takes what the Gateway made for an upstream. */
  readonly via?: true;
}

/** The scope that opens the Coordinator to a mandate; it belongs to no resource. */
export const lifecycleScope = 'agent:lifecycle';

/** What each place takes; anything the table does not name is refused, so a new place starts with nothing accepted. */
export const acceptance: { readonly [P in MandatePlace['at']]: readonly Cell[] } = {
  token_endpoint: [{ use: 'ambient', audience: 'issuer' }],
  coordinator: [{ use: 'ambient', audience: 'issuer', scope: lifecycleScope }],
  gateway: [
    { use: 'ambient', audience: 'issuer', targeted: true },
    { use: 'per_call', audience: 'holds_resource', targeted: true },
  ],
  watch_revocations: [{ use: 'ambient', audience: 'issuer' }],
  resource: [{ use: 'per_call', audience: 'resource', via: true }],
};

function audienceFits(claims: AcceptedClaims, cell: Cell, place: MandatePlace): boolean {
  const { aud } = claims;
  const alone = aud.length === 1 ? aud[0] : undefined;
  switch (cell.audience) {
    case 'issuer':
      return 'issuer' in place && alone === place.issuer;
    case 'resource':
      return 'resource' in place && alone === place.resource;
    case 'holds_resource':
      return 'resource' in place && aud.includes(place.resource);
  }
}

function targetFits(claims: AcceptedClaims, cell: Cell, place: MandatePlace): boolean {
  if (cell.targeted === undefined) return true;
  return 'resource' in place && claims.target?.includes(place.resource) === true;
}

function scopeFits(claims: AcceptedClaims, { scope }: Cell): boolean {
  return scope === undefined || claims.scope?.split(' ').includes(scope) === true;
}

/** Every key the mandate is bound to must have been proven (RFC 9449 §7.1, RFC 8705 §3). */
export function isProven(cnf: AcceptedClaims['cnf'], proven: ProvenKey | undefined): boolean {
  if (cnf === undefined) return true;
  const { jkt, 'x5t#S256': x5tS256 } = cnf;
  if (jkt === undefined && x5tS256 === undefined) return false;
  return (jkt === undefined || jkt === proven?.jkt) && (x5tS256 === undefined || x5tS256 === proven?.x5tS256);
}

/** Undefined when the place accepts the mandate. Signature, issuer and time are the verifier's own, before this. */
export function refuseMandate(claims: AcceptedClaims, place: MandatePlace): MandateRefusal | undefined {
  const cells = acceptance[place.at];
  if (claims.via !== undefined && !cells.some(({ via }) => via)) return 'via_gateway';
  if (claims.zone_id !== place.zoneId) return 'wrong_zone';
  const cell = cells.find(({ use }) => use === claims.use);
  if (!cell) return 'wrong_use';
  if (!audienceFits(claims, cell, place)) return 'wrong_audience';
  if (!targetFits(claims, cell, place)) return 'wrong_target';
  if (!isProven(claims.cnf, place.proven)) return 'proof_required';
  return scopeFits(claims, cell) ? undefined : 'wrong_scope';
}
