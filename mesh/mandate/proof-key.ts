// The keys that a proof may be signed with: which algorithms are taken, how a public JWK becomes a key, and its thumbprint
// (RFC 7638). It stands alone because the key comes with the proof itself, from a stranger: everything about it is judged.
import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { sha256 } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { decodeBase64Url } from './parse.ts';

/**
 * Asymmetric signatures only (RFC 9449 §4.3 item 5), in the order they are advertised. RS256 stays because keys in many
 * hardware stores sign nothing else.
 */
export const proofAlgorithms = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'] as const;
export type ProofAlgorithm = (typeof proofAlgorithms)[number];

interface EllipticRule {
  readonly kty: 'EC' | 'OKP';
  readonly crv: string;
  /** Length of each coordinate, bytes (RFC 7518 §6.2.1, RFC 8037 §2). */
  readonly coordinateBytes: number;
  readonly hash: string | null;
}

const elliptic: Readonly<Record<'ES256' | 'ES384' | 'EdDSA', EllipticRule>> = {
  ES256: { kty: 'EC', crv: 'P-256', coordinateBytes: 32, hash: 'sha256' },
  ES384: { kty: 'EC', crv: 'P-384', coordinateBytes: 48, hash: 'sha384' },
  // RFC 8037 leaves the curve to the key; Ed25519 is the one that is taken.
  EdDSA: { kty: 'OKP', crv: 'Ed25519', coordinateBytes: 32, hash: null },
};

// RFC 7518 §3.3 and §3.5: 2048 bits at least. Above 4096 a signature costs more to check than any proof is worth.
const LEAST_MODULUS_BITS = 2_048;
const MOST_MODULUS_BITS = 4_096;
// 65537, the exponent every generator uses. Others are either broken or chosen to make checking slow.
const EXPONENT = 'AQAB';

// RFC 7518 §6.2.2, §6.3.2 and §6.4.1: what only a private or symmetric key has.
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const;

export interface ProofKey {
  readonly alg: ProofAlgorithm;
  readonly key: KeyObject;
  /** RFC 7638 thumbprint with SHA-256, base64url. */
  readonly jkt: string;
}

export function isProofAlgorithm(value: JsonValue | undefined): value is ProofAlgorithm {
  return proofAlgorithms.some((name) => name === value);
}

// RFC 7517 §4.2 to §4.4: a key that says what it is for is used for nothing else.
function isForSigning(jwk: JsonObject, alg: ProofAlgorithm): boolean {
  const { use, key_ops: operations, alg: own } = jwk;
  if (use !== undefined && use !== 'sig') return false;
  if (own !== undefined && own !== alg) return false;
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'));
}

function coordinate(value: JsonValue | undefined, bytes: number): string | undefined {
  return typeof value === 'string' && decodeBase64Url(value)?.length === bytes ? value : undefined;
}

// The required members in lexicographic order (RFC 7638 §3.2); each value is base64url or a fixed word, so that plain JSON
// text is the canonical form.
function ellipticMembers(jwk: JsonObject, rule: EllipticRule): Record<string, string> | undefined {
  const x = coordinate(jwk['x'], rule.coordinateBytes);
  if (jwk['kty'] !== rule.kty || jwk['crv'] !== rule.crv || x === undefined) return undefined;
  if (rule.kty === 'OKP') return { crv: rule.crv, kty: rule.kty, x };
  const y = coordinate(jwk['y'], rule.coordinateBytes);
  return y === undefined ? undefined : { crv: rule.crv, kty: rule.kty, x, y };
}

function rsaMembers(jwk: JsonObject): Record<string, string> | undefined {
  const { kty, n, e } = jwk;
  if (kty !== 'RSA' || e !== EXPONENT || typeof n !== 'string') return undefined;
  const modulus = decodeBase64Url(n);
  const [first] = modulus ?? [];
  // RFC 7518 §6.3.1.1: no leading zero byte, or one key would have several thumbprints.
  if (modulus === undefined || first === undefined || first === 0) return undefined;
  const bits = modulus.length * 8 - (Math.clz32(first) - 24);
  return bits < LEAST_MODULUS_BITS || bits > MOST_MODULUS_BITS ? undefined : { e, kty, n };
}

function membersFor(jwk: JsonObject, alg: ProofAlgorithm): Record<string, string> | undefined {
  return alg === 'PS256' || alg === 'RS256' ? rsaMembers(jwk) : ellipticMembers(jwk, elliptic[alg]);
}

/** The key of a public JWK, if it is one that `alg` may be used with; a private member refuses it (RFC 9449 §4.3 item 7). */
export function readProofKey(jwk: JsonObject, alg: ProofAlgorithm): ProofKey | undefined {
  if (privateMembers.some((name) => Object.hasOwn(jwk, name)) || !isForSigning(jwk, alg)) return undefined;
  const members = membersFor(jwk, alg);
  if (members === undefined) return undefined;
  try {
    // Refuses points that are not on the curve.
    const key = createPublicKey({ key: members, format: 'jwk' });
    return { alg, key, jkt: sha256(JSON.stringify(members)).toString('base64url') };
  } catch {
    return undefined;
  }
}

/** RFC 7638 thumbprint of a public key of one of the kinds above; undefined for every other key. */
export function jwkThumbprint(jwk: JsonObject): string | undefined {
  for (const alg of ['ES256', 'ES384', 'EdDSA', 'RS256'] as const) {
    const members = membersFor(jwk, alg);
    if (members !== undefined) return sha256(JSON.stringify(members)).toString('base64url');
  }
  return undefined;
}

/** False for every signature that does not verify, malformed ones included; never throws for what a caller sent. */
export function verifyProofSignature({ alg, key }: ProofKey, signingInput: string, signature: Uint8Array): boolean {
  const data = Buffer.from(signingInput, 'latin1');
  try {
    switch (alg) {
      case 'ES256':
      case 'ES384': {
        const { coordinateBytes, hash } = elliptic[alg];
        // RFC 7518 §3.4: r and s side by side, nothing else.
        if (signature.length !== 2 * coordinateBytes) return false;
        return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
      }
      case 'EdDSA':
        return verify(null, data, key, signature);
      case 'PS256':
        // RFC 7518 §3.5: the salt is as long as the hash.
        return verify('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }, signature);
      case 'RS256':
        return verify('sha256', data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    }
  } catch {
    return false;
  }
}
