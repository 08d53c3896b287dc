// Nonces that make a proof fresh whatever the client's clock says (RFC 9449 §8, §9). Stateless: the time under a keyed
// digest, so that every replica that holds the key accepts what any of them gave.
import { constantTimeEqual, hmacSha256, lengthPrefixed } from '#mesh/canonical';
import type { Clock } from '#mesh/time';
import { decodeBase64Url } from './parse.ts';

// authority.md: 60 s. Long enough for a client to answer a challenge, short enough that a stolen proof is soon worthless.
export const nonceLifeMs = 60_000;
// Clocks of our own services agree within this (authority.md, Expiry).
const LEEWAY_MS = 5_000;
// Milliseconds since 1970 fit six bytes until the year 10889.
const TIME_BYTES = 6;
// 128 bits: nobody guesses a nonce within its minute.
const TAG_BYTES = 16;

export interface ProofNonces {
  /** A nonce that is good for a minute from now. */
  issue(): string;
  /**
   * When it was issued, epoch milliseconds; undefined for one that has aged or is none of ours. `graceMs` lets one that
   * another service has just taken be looked at again.
   */
  issuedAtMs(nonce: string, graceMs?: number): number | undefined;
}

/** `keys` are for this alone, the present one first; those after it are accepted while a rotation lasts. */
export function createProofNonces(
  keys: readonly [Uint8Array, ...Uint8Array[]],
  clock: Pick<Clock, 'now'>,
): ProofNonces {
  const tagOf = (key: Uint8Array, time: Uint8Array): Buffer =>
    hmacSha256(key, lengthPrefixed(['dpop nonce', time])).subarray(0, TAG_BYTES);
  return {
    issue() {
      const time = Buffer.alloc(TIME_BYTES);
      time.writeUIntBE(Math.floor(clock.now()), 0, TIME_BYTES);
      return Buffer.concat([time, tagOf(keys[0], time)]).toString('base64url');
    },
    issuedAtMs(nonce, graceMs = 0) {
      const bytes = decodeBase64Url(nonce);
      if (bytes?.length !== TIME_BYTES + TAG_BYTES) return undefined;
      const time = bytes.subarray(0, TIME_BYTES);
      const tag = bytes.subarray(TIME_BYTES);
      if (!keys.some((key) => constantTimeEqual(tagOf(key, time), tag))) return undefined;
      const issuedAtMs = time.readUIntBE(0, TIME_BYTES);
      const ageMs = clock.now() - issuedAtMs;
      return ageMs < nonceLifeMs + graceMs && ageMs >= -LEEWAY_MS ? issuedAtMs : undefined;
    },
  };
}
