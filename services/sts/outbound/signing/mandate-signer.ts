// Signs mandates. ES256 by node:crypto in the calling turn; about 50 microseconds, less than a promise across threads.
import { encodeMandate, mandateAnchors } from '#mesh/mandate';
import type { MandateVerifier } from '#mesh/mandate';
import type { MandateReader, MandateSigner } from '../../ports/mandate-issuing.ts';

/** The signer of this process. */
export function createMandateSigner(): MandateSigner {
  return { sign: (claims, key) => encodeMandate(claims, key) };
}

/** Reads presented mandates by the verifier every service uses. */
export function createMandateReader(verifier: Pick<MandateVerifier, 'verify'>): MandateReader {
  return { verify: async (token) => verifier.verify(token), anchorsOf: mandateAnchors };
}
