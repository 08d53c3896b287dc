// Decides whether a DPoP proof is right for a request: the twelve checks of RFC 9449 §4.3, pure. Single use is the caller's
// next step, because only a store over all replicas can say it.
import { constantTimeEqual, parseStrictJson, sha256 } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { decodeBase64Url } from './parse.ts';
import { isProofAlgorithm, readProofKey, verifyProofSignature, type ProofKey } from './proof-key.ts';
import { isObject } from './read-claims.ts';
import { normalRequestUri } from './request-uri.ts';

export const proofLimits = {
  // A proof with a 4096-bit RSA key and a long address stays below 6 KiB; Node refuses headers above 16 KiB.
  proofBytes: 8_192,
  // Header, its jwk, and what a client may add to either.
  jsonDepth: 6,
  // RFC 9449 §11.1: what is remembered of a proof must be bounded. A UUID has 36.
  jtiCharacters: 256,
  // authority.md: ±60 s for other people's clocks.
  clockSkewMs: 60_000,
} as const;

export interface ProofRequest {
  /** The method of the request, as it was received (methods are case-sensitive, RFC 9110 §9.1). */
  readonly method: string;
  /** The addresses the request may be known by, as `requestUris` spells them. */
  readonly uris: readonly string[];
  /** The token the proof came with; then `ath` must be its hash. */
  readonly accessToken?: string | undefined;
  readonly nowMs: number;
  /** When a nonce was issued, epoch milliseconds; undefined for one that is not good. */
  readonly nonceIssuedAtMs: (nonce: string) => number | undefined;
  /** How long a nonce is good. */
  readonly nonceLifeMs: number;
  /** Above the clients' skew, for a proof that another service of ours has just taken; 0 where it is judged first. */
  readonly graceMs: number;
  /** A right clock is not enough: the proof must carry a nonce. */
  readonly requireNonce: boolean;
}

/** Why a proof is refused; for evidence and logs, the caller is told that the proof is not valid. */
export type ProofRefusal =
  | 'malformed'
  | 'wrong_type'
  | 'unsupported_algorithm'
  | 'unsuitable_key'
  | 'wrong_method'
  | 'wrong_uri'
  | 'wrong_token'
  | 'expired'
  | 'bad_signature';

export type ProofVerdict =
  | {
      readonly kind: 'proven';
      /** RFC 7638 thumbprint of the key that signed. */
      readonly jkt: string;
      /** Names this proof: the digest of key and `jti`, whatever its length was. */
      readonly replayId: string;
      /** The earliest moment at which this proof can have been accepted, epoch milliseconds. */
      readonly acceptableFromMs: number;
      /** From here on it is refused for its age alone. */
      readonly acceptableUntilMs: number;
      /** It carried a nonce: its sender works with nonces and will want the next one. */
      readonly hasNonce: boolean;
    }
  /** A proof made with a nonce of ours would be taken: none was there, it is not good, or the client's clock is wrong. */
  | { readonly kind: 'nonce_wanted'; readonly cause: 'nonce_missing' | 'nonce_not_good' | 'clock' }
  | { readonly kind: 'refused'; readonly cause: ProofRefusal };

interface Claims {
  readonly jti: string;
  readonly htm: string;
  readonly htu: string;
  /** Seconds. */
  readonly iat: number;
  readonly nonce: string | undefined;
  readonly ath: string | undefined;
  readonly exp: number | undefined;
  readonly nbf: number | undefined;
}

interface Parsed {
  readonly header: JsonObject;
  readonly claims: Claims;
  readonly signingInput: string;
  readonly signature: Buffer;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// Twice the bytes of SHA-256 in base64url; a longer text is no nonce and no hash of ours.
const LONGEST_CODE = 128;

// RFC 7515 §4.1: what would name another key than `jwk`, or change what the signature covers (RFC 7797).
const foreignHeaders = ['crit', 'b64', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256'] as const;

function decodeObject(part: string): JsonObject | undefined {
  const bytes = decodeBase64Url(part);
  if (bytes === undefined) return undefined;
  try {
    const limits = { maxBytes: proofLimits.proofBytes, maxDepth: proofLimits.jsonDepth };
    const value = parseStrictJson(utf8.decode(bytes), limits);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const textOf = (value: JsonValue | undefined, most: number): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= most ? value : undefined;

const secondsOf = (value: JsonValue | undefined): number | undefined =>
  typeof value === 'number' && value >= 0 && value < Number.MAX_SAFE_INTEGER / 1_000 ? value : undefined;

/** Present and unreadable is malformed; absent is fine. */
function isReadable(value: JsonValue | undefined, read: unknown): boolean {
  return value === undefined || read !== undefined;
}

// RFC 9449 §4.2; RFC 7519 §4.1.4 and §4.1.5 for the times that a client may add.
function readProofClaims(payload: JsonObject): Claims | undefined {
  const jti = textOf(payload['jti'], proofLimits.jtiCharacters);
  const htm = textOf(payload['htm'], LONGEST_CODE);
  const htu = textOf(payload['htu'], proofLimits.proofBytes);
  const iat = secondsOf(payload['iat']);
  if (jti === undefined || htm === undefined || htu === undefined || iat === undefined) return undefined;
  const nonce = textOf(payload['nonce'], LONGEST_CODE);
  const ath = textOf(payload['ath'], LONGEST_CODE);
  const [exp, nbf] = [secondsOf(payload['exp']), secondsOf(payload['nbf'])];
  const optional = { nonce, ath, exp, nbf };
  for (const [name, read] of Object.entries(optional)) if (!isReadable(payload[name], read)) return undefined;
  return { jti, htm, htu, iat, ...optional };
}

function parseProof(proof: string): Parsed | undefined {
  if (proof.length === 0 || proof.length > proofLimits.proofBytes) return undefined;
  const parts = proof.split('.', 4);
  const [headerPart, payloadPart, signaturePart] = parts;
  if (parts.length !== 3 || headerPart === undefined || payloadPart === undefined || signaturePart === undefined) {
    return undefined;
  }
  const signature = decodeBase64Url(signaturePart);
  const header = decodeObject(headerPart);
  const payload = header === undefined ? undefined : decodeObject(payloadPart);
  const claims = payload === undefined ? undefined : readProofClaims(payload);
  if (signature === undefined || header === undefined || claims === undefined) return undefined;
  return { header, claims, signingInput: `${headerPart}.${payloadPart}`, signature };
}

function keyOf(header: JsonObject): ProofKey | ProofRefusal {
  const { typ, alg, jwk } = header;
  if (typ !== 'dpop+jwt') return 'wrong_type';
  if (!isProofAlgorithm(alg)) return 'unsupported_algorithm';
  if (!isObject(jwk) || foreignHeaders.some((name) => Object.hasOwn(header, name))) return 'unsuitable_key';
  return readProofKey(jwk, alg) ?? 'unsuitable_key';
}

/** RFC 9449 §4.2: base64url of the SHA-256 of the token's ASCII text. */
export function accessTokenHash(token: string): string {
  return sha256(token).toString('base64url');
}

function refuseRequest(claims: Claims, request: ProofRequest): ProofRefusal | undefined {
  if (claims.htm !== request.method) return 'wrong_method';
  const uri = normalRequestUri(claims.htu);
  if (uri === undefined || !request.uris.includes(uri)) return 'wrong_uri';
  if (request.accessToken === undefined) return undefined;
  const { ath } = claims;
  return ath !== undefined && constantTimeEqual(ath, accessTokenHash(request.accessToken)) ? undefined : 'wrong_token';
}

/** When the proof may be shown, or what it lacks (RFC 9449 §4.3 items 10 and 11). */
type Window =
  | { readonly kind: 'open'; readonly fromMs: number; readonly untilMs: number }
  | Exclude<ProofVerdict, { kind: 'proven' }>;

function openWindow(
  { fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number },
  { exp, nbf }: Claims,
  { nowMs, graceMs }: ProofRequest,
): Window {
  const endMs = Math.min(untilMs, exp === undefined ? Number.POSITIVE_INFINITY : exp * 1_000) + graceMs;
  const tooEarly = nbf !== undefined && nowMs < nbf * 1_000 - proofLimits.clockSkewMs - graceMs;
  return nowMs >= endMs || tooEarly ? { kind: 'refused', cause: 'expired' } : { kind: 'open', fromMs, untilMs: endMs };
}

function windowOf(claims: Claims, request: ProofRequest): Window {
  const { nowMs } = request;
  if (claims.nonce !== undefined) {
    const issuedAtMs = request.nonceIssuedAtMs(claims.nonce);
    if (issuedAtMs === undefined) return { kind: 'nonce_wanted', cause: 'nonce_not_good' };
    // Our own clock says when it was made at the earliest, so the client's does not matter.
    return openWindow({ fromMs: issuedAtMs, untilMs: issuedAtMs + request.nonceLifeMs }, claims, request);
  }
  if (request.requireNonce) return { kind: 'nonce_wanted', cause: 'nonce_missing' };
  const madeAtMs = claims.iat * 1_000;
  const { clockSkewMs } = proofLimits;
  if (Math.abs(nowMs - madeAtMs) >= clockSkewMs + request.graceMs) return { kind: 'nonce_wanted', cause: 'clock' };
  return openWindow({ fromMs: madeAtMs - clockSkewMs, untilMs: madeAtMs + clockSkewMs }, claims, request);
}

/**
 * Judges one DPoP header. Never throws for what a caller sent, and costs a bounded amount: everything is looked at before
 * the one signature is checked.
 */
export function verifyDpopProof(proof: string, request: ProofRequest): ProofVerdict {
  const parsed = parseProof(proof);
  if (parsed === undefined) return { kind: 'refused', cause: 'malformed' };
  const key = keyOf(parsed.header);
  if (typeof key === 'string') return { kind: 'refused', cause: key };
  const { claims } = parsed;
  const refusal = refuseRequest(claims, request);
  if (refusal !== undefined) return { kind: 'refused', cause: refusal };
  const window = windowOf(claims, request);
  if (window.kind !== 'open') return window;
  if (!verifyProofSignature(key, parsed.signingInput, parsed.signature)) {
    return { kind: 'refused', cause: 'bad_signature' };
  }
  return {
    kind: 'proven',
    jkt: key.jkt,
    replayId: sha256(`${key.jkt}.${claims.jti}`).toString('base64url'),
    acceptableFromMs: window.fromMs,
    acceptableUntilMs: window.untilMs,
    hasNonce: claims.nonce !== undefined,
  };
}
