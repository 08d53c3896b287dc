// Reads a JWK set (RFC 7517 §5) as the keys that may verify mandates: P-256 signature keys by id. Everything else in the
// set is passed over, as RFC 7517 §5 asks of unknown keys.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { parseStrictJson } from '#mesh/canonical';
import { isP256 } from './signature.ts';

/** A zone's published verification key. */
export interface ZoneJwk {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly use: 'sig';
  readonly alg: 'ES256';
  readonly kid: string;
  readonly x: string;
  readonly y: string;
}

export interface Jwks {
  readonly keys: readonly unknown[];
}

// A zone signs with one key, publishes a next one and keeps old ones until their last mandate expired; more is a mistake.
const MAX_KEYS = 32;
const KEY_ID = /^[A-Za-z0-9_.:-]{1,128}$/;
// A coordinate of P-256 is 32 bytes (RFC 7518 §6.2.1.2).
const COORDINATE = /^[A-Za-z0-9_-]{43}$/;

const absentOr = (value: unknown, expected: string): boolean => value === undefined || value === expected;

// RFC 7517 §4.2 and §4.3: a key that says what it is for is used for nothing else. A private member has no place in a set.
function isSignatureKey(jwk: Readonly<Record<string, unknown>>): boolean {
  if (jwk['kty'] !== 'EC' || jwk['crv'] !== 'P-256' || 'd' in jwk) return false;
  if (!absentOr(jwk['use'], 'sig') || !absentOr(jwk['alg'], 'ES256')) return false;
  const operations = jwk['key_ops'];
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'));
}

/** The key of one JWK, or undefined when it cannot verify ES256. */
export function readVerificationKey(jwk: unknown): { readonly kid: string; readonly key: KeyObject } | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined;
  const members = jwk as Readonly<Record<string, unknown>>;
  const { kid, x, y } = members;
  if (typeof kid !== 'string' || !KEY_ID.test(kid) || !isSignatureKey(members)) return undefined;
  if (typeof x !== 'string' || typeof y !== 'string' || !COORDINATE.test(x) || !COORDINATE.test(y)) return undefined;
  try {
    const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
    return isP256(key) ? { kid, key } : undefined;
  } catch {
    return undefined;
  }
}

// A zone has a handful of keys of 200 bytes each, three levels deep with the set around them.
const MAX_SET_BYTES = 65_536;
const MAX_SET_DEPTH = 8;

/** The set in a document that was fetched; throws when it is none. */
export function parseJwks(text: string): Jwks {
  const value = parseStrictJson(text, { maxBytes: MAX_SET_BYTES, maxDepth: MAX_SET_DEPTH });
  const keys = typeof value === 'object' && value !== null && 'keys' in value ? value['keys'] : undefined;
  if (!Array.isArray(keys)) throw new Error('not a key set');
  return { keys };
}

/** Usable keys by id. Two keys under one id leave neither: nobody can say which was meant. */
export function readJwks(jwks: Jwks): ReadonlyMap<string, KeyObject> {
  const keys = new Map<string, KeyObject>();
  const doubled = new Set<string>();
  for (const jwk of jwks.keys.slice(0, MAX_KEYS)) {
    const read = readVerificationKey(jwk);
    if (read === undefined) continue;
    if (keys.has(read.kid)) doubled.add(read.kid);
    keys.set(read.kid, read.key);
  }
  for (const kid of doubled) keys.delete(kid);
  return keys;
}

/** The JWK that a zone publishes for a key of its own. */
export function zoneJwk(kid: string, key: KeyObject): ZoneJwk {
  const { x, y } = key.export({ format: 'jwk' });
  if (x === undefined || y === undefined || !isP256(key)) throw new TypeError('a zone key is on P-256');
  return { kty: 'EC', crv: 'P-256', use: 'sig', alg: 'ES256', kid, x, y };
}
