// What a client assertion must say to authenticate a client: RFC 7523 §3 with the audience rule of RFC 10070. Pure, so
// that every rule can be tested without keys; signatures are checked elsewhere.
import { JsonRefused, parseStrictJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';

export interface ClientAssertion {
  readonly header: JsonObject;
  readonly claims: JsonObject;
  /** One of `assertionAlgorithms`. */
  readonly algorithm: AssertionAlgorithm;
  readonly keyId: string | undefined;
}

/** Asymmetric algorithms alone (RFC 8725 §3.1), each with the key it goes with; never the header's word for a key. */
const keyFormOf = {
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  // RFC 9864 names the curve.
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
} as const;

export type AssertionAlgorithm = keyof typeof keyFormOf;

export const assertionAlgorithms = Object.keys(keyFormOf) as readonly AssertionAlgorithm[];

/** Other people's clocks (authority.md "Expiry"). */
const leewaySeconds = 60;
/** Assertions are made for one request; ten minutes is generous and bounds what the replay store must remember. */
export const maxLifeSeconds = 600;
/** Long enough for any encoding of a random number; it is hashed before it is kept. */
const maxJtiLength = 512;
const partLimits = { maxBytes: 4096, maxDepth: 8 };
const base64url = /^[A-Za-z0-9_-]+$/;

function readPart(part: string | undefined): JsonObject | undefined {
  if (part === undefined || !base64url.test(part)) return undefined;
  try {
    const value: JsonValue = parseStrictJson(Buffer.from(part, 'base64url').toString('utf8'), partLimits);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch (error) {
    if (error instanceof JsonRefused) return undefined;
    throw error;
  }
}

function isAlgorithm(value: unknown): value is AssertionAlgorithm {
  return typeof value === 'string' && Object.hasOwn(keyFormOf, value);
}

/**
 * RFC 10070 has clients say `client-authentication+jwt` and servers bear its absence; a JWT that names another purpose was
 * not made for this (RFC 8725 §3.11).
 */
function isBearableType(typ: JsonValue | undefined): boolean {
  if (typ === undefined) return true;
  if (typeof typ !== 'string') return false;
  return ['jwt', 'client-authentication+jwt'].includes(typ.toLowerCase().replace(/^application\//, ''));
}

/** The two readable parts, unverified. Undefined for what is no assertion this server could accept from anyone. */
export function parseAssertion(text: string): ClientAssertion | undefined {
  const parts = text.split('.');
  const header = readPart(parts[0]);
  const claims = readPart(parts[1]);
  if (!header || !claims || parts.length !== 3) return undefined;
  const { alg, kid, typ, crit } = header;
  // RFC 7515 §4.1.11: an extension that is not understood must be refused, and none is understood.
  if (!isAlgorithm(alg) || !isBearableType(typ) || crit !== undefined) return undefined;
  if (kid !== undefined && typeof kid !== 'string') return undefined;
  return { header, claims, algorithm: alg, keyId: kid };
}

function fits(jwk: JsonObject, assertion: ClientAssertion): boolean {
  const form: { kty: string; crv?: string } = keyFormOf[assertion.algorithm];
  const { kty, crv, alg, use, key_ops: operations, kid } = jwk;
  return (
    kty === form.kty &&
    (form.crv === undefined || crv === form.crv) &&
    (alg === undefined || alg === assertion.algorithm) &&
    (use === undefined || use === 'sig') &&
    (!Array.isArray(operations) || operations.includes('verify')) &&
    (assertion.keyId === undefined || kid === assertion.keyId)
  );
}

/** The registered key the assertion was signed with: the one its `kid` names, or without `kid` the only one that fits. */
export function keyFor(assertion: ClientAssertion, keys: readonly JsonObject[]): JsonObject | undefined {
  const fitting = keys.filter((key) => fits(key, assertion));
  return fitting.length === 1 ? fitting[0] : undefined;
}

export type AssertionVerdict =
  | {
      readonly kind: 'accepted';
      readonly jti: string;
      /** How long this very assertion could still be shown. */
      readonly ttlMs: number;
      /** The earliest it can have been made: by the client's own clock, or as early as its life allows. */
      readonly issuedAtMs: number;
    }
  | { readonly kind: 'refused'; readonly cause: string };

interface Expected {
  readonly issuer: string;
  readonly clientId: string;
  readonly nowMs: number;
}

/** RFC 10070: the issuer identifier as the sole value, compared as a plain string. */
function isAudience(aud: JsonValue | undefined, issuer: string): boolean {
  return aud === issuer || (Array.isArray(aud) && aud.length === 1 && aud[0] === issuer);
}

function wrongTime({ exp, iat, nbf }: JsonObject, nowSeconds: number): string | undefined {
  if (typeof exp !== 'number') return 'assertion_without_exp';
  if (exp + leewaySeconds <= nowSeconds) return 'assertion_expired';
  if (exp > nowSeconds + maxLifeSeconds + leewaySeconds) return 'assertion_lives_too_long';
  for (const earliest of [iat, nbf]) {
    if (earliest !== undefined && typeof earliest !== 'number') return 'assertion_with_malformed_time';
    if (earliest !== undefined && earliest > nowSeconds + leewaySeconds) return 'assertion_of_the_future';
  }
  // Both ends are the client's own clock, so no leeway lies between them.
  return iat !== undefined && exp - (iat as number) > maxLifeSeconds ? 'assertion_lives_too_long' : undefined;
}

function wrongParty({ iss, sub, aud }: JsonObject, expected: Expected): string | undefined {
  if (iss !== expected.clientId || sub !== expected.clientId) return 'assertion_of_another_client';
  return isAudience(aud, expected.issuer) ? undefined : 'assertion_for_another_audience';
}

/** Judges the claims of an assertion whose signature is someone else's question. */
export function judgeAssertion({ claims }: ClientAssertion, expected: Expected): AssertionVerdict {
  const cause = wrongParty(claims, expected) ?? wrongTime(claims, expected.nowMs / 1000);
  if (cause !== undefined) return { kind: 'refused', cause };
  const { jti } = claims;
  if (typeof jti !== 'string' || jti === '' || jti.length > maxJtiLength) {
    return { kind: 'refused', cause: 'assertion_without_jti' };
  }
  const expiresAtMs = (Number(claims['exp']) + leewaySeconds) * 1000;
  const issuedAt = typeof claims['iat'] === 'number' ? claims['iat'] : Number(claims['exp']) - maxLifeSeconds;
  return {
    kind: 'accepted',
    jti,
    ttlMs: expiresAtMs - expected.nowMs,
    issuedAtMs: (Math.floor(issuedAt) - leewaySeconds) * 1000,
  };
}
