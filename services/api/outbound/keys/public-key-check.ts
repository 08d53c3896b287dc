// Whether the platform takes a JWK for a public key: what a form cannot say, such as a point that is not on its curve.
import { createPublicKey } from 'node:crypto';
import type { JsonObject } from '#mesh/failure';

/** True for a JWK that verifies signatures. */
export function isPublicKey(jwk: JsonObject): boolean {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' }).type === 'public';
  } catch {
    return false;
  }
}
