// Writes a mandate. Only the STS calls this (import rule); it stands beside the parser so that one library owns the format.
import { canonicalJson } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import type { KeyObject } from 'node:crypto';
import { mandateLimits, type MandateClaims } from './claims.ts';
import { readClaims } from './read-claims.ts';
import { signEs256 } from './signature.ts';

export interface SigningKey {
  readonly kid: string;
  /** P-256. */
  readonly privateKey: KeyObject;
}

// Claims that say nothing are left out: undefined, empty text, empty lists, and the counts that are zero without a path.
function withoutSilentClaims(claims: Partial<MandateClaims>): JsonObject {
  const spoken = Object.entries(claims).filter(([name, value]) => {
    if (value === undefined || value === '') return false;
    if (Array.isArray(value)) return value.length > 0;
    return !((name === 'hop_count' || name === 'delegation_graph_epoch') && value === 0);
  });
  return Object.fromEntries(spoken) as JsonObject;
}

const part = (value: JsonObject): string => Buffer.from(canonicalJson(value)).toString('base64url');

/**
 * The signed token. Throws a RangeError when it would be longer than verifiers read, and a TypeError when no verifier would
 * accept these claims for another reason: the STS never signs what only it understands.
 */
export function encodeMandate(claims: MandateClaims, key: SigningKey): string {
  const payload = withoutSilentClaims(claims);
  if ((claims.scope?.length ?? 0) > mandateLimits.scopeCharacters)
    throw new RangeError('more scopes than verifiers read');
  if (readClaims(payload) === undefined) throw new TypeError('claims are not those of a mandate');
  const signingInput = `${part({ alg: 'ES256', kid: key.kid, typ: 'JWT' })}.${part(payload)}`;
  const token = `${signingInput}.${signEs256(signingInput, key.privateKey).toString('base64url')}`;
  if (token.length > mandateLimits.tokenBytes) throw new RangeError('mandate is longer than verifiers accept');
  return token;
}
