// Digests, keyed digests, derived keys and the unambiguous joining of fields they are taken over.
// It stands alone so that domain code needs no crypto API and every construction is named once.
import { createHmac, hash, hkdfSync, timingSafeEqual } from 'node:crypto';

/** SHA-256 of bytes, or of a string's UTF-8. 32 bytes. */
export function sha256(data: string | Uint8Array): Buffer {
  return hash('sha256', data, 'buffer');
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/** HMAC-SHA-256 (RFC 2104) of bytes, or of a string's UTF-8. 32 bytes. */
export function hmacSha256(key: Uint8Array, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** HMAC-SHA-256 as 64 lower-case hex digits. */
export function hmacSha256Hex(key: Uint8Array, data: string | Uint8Array): string {
  return createHmac('sha256', key).update(data).digest('hex');
}

/**
 * Whether two secrets are equal, in a time that depends on neither their content nor their lengths' difference. A string
 * counts as its UTF-8 bytes.
 */
export function constantTimeEqual(left: string | Uint8Array, right: string | Uint8Array): boolean {
  // Digests are equal exactly when the inputs are, and have one length, which timingSafeEqual demands.
  return timingSafeEqual(sha256(left), sha256(right));
}

/** What a key is for: the owner and the use, so that no two uses ever share a key. */
export type KeyPurpose = `caracal/${string}/v1`;

/** HKDF's input must carry the strength of its output; every key of an installation has 32 bytes at least. */
const minKeyBytes = 32;

/**
 * A key for one purpose from a longer-lived one: HKDF-SHA-256 (RFC 5869) with the purpose as info and no salt.
 * @throws RangeError when the key has fewer than 32 bytes.
 */
export function deriveKey(key: Uint8Array, purpose: KeyPurpose, bytes = 32): Buffer {
  if (key.length < minKeyBytes) throw new RangeError(`a key to derive from needs ${minKeyBytes} bytes at least`);
  return Buffer.from(hkdfSync('sha256', key, new Uint8Array(0), purpose, bytes));
}

/**
 * Joins fields so that no two different lists give the same bytes: for each part its length as four bytes, big-endian,
 * then its bytes. A string counts as its UTF-8 bytes.
 */
export function lengthPrefixed(parts: readonly (string | Uint8Array)[]): Buffer {
  const pieces: Uint8Array[] = [];
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    pieces.push(length, bytes);
  }
  return Buffer.concat(pieces);
}
