// The form of a client secret: 256 random bits and a keyed check part, which lets the STS refuse junk without a derivation.
import { hmacSha256 } from '#mesh/canonical';

const checkBytes = 8;
/** Bytes of randomness in a secret. */
export const secretBytes = 32;

/** `csk_`, the secret in base64url, the first 8 bytes of HMAC-SHA256(zone check key, secret ‖ application id). */
export function formatClientSecret(checkKey: Uint8Array, secret: Uint8Array, applicationId: string): string {
  const check = hmacSha256(checkKey, Buffer.concat([secret, Buffer.from(applicationId, 'utf8')]));
  return `csk_${Buffer.from(secret).toString('base64url')}${check.subarray(0, checkBytes).toString('base64url')}`;
}
