// The form of a client secret and its keyed check part, which lets junk be refused without a derivation.
import { constantTimeEqual, hmacSha256 } from '#mesh/canonical';

/** `csk_`, 32 random bytes in base64url (43 characters), 8 check bytes in base64url (11 characters). */
const form = /^csk_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{11})$/;
const secretBytes = 32;
const checkBytes = 8;

/** The 8 check bytes of a secret for this application: HMAC-SHA256(zone check key, secret ‖ application id). */
function secretCheck(checkKey: Uint8Array, secret: Uint8Array, applicationId: string): Buffer {
  return hmacSha256(checkKey, Buffer.concat([secret, Buffer.from(applicationId, 'utf8')])).subarray(0, checkBytes);
}

/** The secret as its client writes it. */
export function formatSecret(checkKey: Uint8Array, secret: Uint8Array, applicationId: string): string {
  const check = secretCheck(checkKey, secret, applicationId);
  return `csk_${Buffer.from(secret).toString('base64url')}${check.toString('base64url')}`;
}

/** True when the text could be a secret of this application in this zone; says nothing about whether it is the one. */
export function hasRightCheck(checkKey: Uint8Array, text: string, applicationId: string): boolean {
  const parts = form.exec(text);
  const secret = Buffer.from(parts?.[1] ?? '', 'base64url');
  const claimed = Buffer.from(parts?.[2] ?? '', 'base64url');
  const padded = Buffer.alloc(checkBytes);
  claimed.copy(padded);
  const expected = secretCheck(checkKey, secret, applicationId);
  const matches = constantTimeEqual(expected, padded);
  return parts !== null && secret.length === secretBytes && claimed.length === checkBytes && matches;
}
