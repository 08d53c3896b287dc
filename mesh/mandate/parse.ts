// Takes a compact JWS apart (RFC 7515 §7.1) without believing it: size, alphabet, header and claims are checked before any
// key is looked up, so that a hostile token costs little.
import { parseStrictJson } from '#mesh/canonical';
import type { JsonValue } from '#mesh/failure';
import { mandateLimits, type MandateClaims } from './claims.ts';
import { isObject, readClaims } from './read-claims.ts';

export interface MandateHeader {
  readonly alg: 'ES256';
  readonly typ: 'JWT';
  readonly kid: string;
}

export interface ParsedMandate {
  readonly header: MandateHeader;
  readonly claims: MandateClaims;
  /** The bytes the signature covers: header and payload as they were received (RFC 7515 §5.2). */
  readonly signingInput: string;
  readonly signature: Buffer;
}

// A P-256 signature in JOSE form is r and s of 32 bytes each (RFC 7518 §3.4).
const SIGNATURE_BYTES = 64;
const KEY_ID = /^[A-Za-z0-9_.:-]{1,128}$/;
const BASE64URL = /^[A-Za-z0-9_-]+$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Bytes of unpadded base64url, or undefined for anything that does not encode back to the same text: padding, foreign
 * characters and unused bits would give one token several spellings (RFC 7515 §2, RFC 4648 §3.5).
 */
export function decodeBase64Url(text: string): Buffer | undefined {
  if (!BASE64URL.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

function decodeJson(part: string): JsonValue | undefined {
  const bytes = decodeBase64Url(part);
  if (bytes === undefined) return undefined;
  try {
    return parseStrictJson(utf8.decode(bytes), {
      maxBytes: mandateLimits.tokenBytes,
      maxDepth: mandateLimits.jsonDepth,
    });
  } catch {
    return undefined;
  }
}

// Exactly `alg`, `typ` and `kid`. A header never chooses a key or an algorithm here: `jwk`, `jku`, `x5u`, `x5c`, `crit`,
// `b64` and everything unknown refuse the token (RFC 8725 §3.1, §3.10; RFC 7515 §4.1.11).
function readHeader(value: JsonValue | undefined): MandateHeader | undefined {
  if (!isObject(value) || Object.keys(value).length !== 3) return undefined;
  const { alg, typ, kid } = value;
  if (alg !== 'ES256' || typ !== 'JWT') return undefined;
  return typeof kid === 'string' && KEY_ID.test(kid) ? { alg, typ, kid } : undefined;
}

/** The parts of a token whose signature has NOT been checked; undefined when it can be no mandate at all. At most 8 KiB. */
export function parseMandate(token: string): ParsedMandate | undefined {
  if (token.length === 0 || token.length > mandateLimits.tokenBytes) return undefined;
  const parts = token.split('.', 4);
  const [headerPart, payloadPart, signaturePart] = parts;
  if (parts.length !== 3 || headerPart === undefined || payloadPart === undefined || signaturePart === undefined) {
    return undefined;
  }
  const signature = decodeBase64Url(signaturePart);
  if (signature?.length !== SIGNATURE_BYTES) return undefined;
  const header = readHeader(decodeJson(headerPart));
  if (header === undefined) return undefined;
  const payload = decodeJson(payloadPart);
  const claims = payload === undefined ? undefined : readClaims(payload);
  if (claims === undefined) return undefined;
  return { header, claims, signingInput: `${headerPart}.${payloadPart}`, signature };
}
