// Signs mandates. ES256 by node:crypto in the calling turn; about 50 microseconds, less than a promise across threads.
import { fail } from '#mesh/failure';
import { encodeMandate, mandateAnchors } from '#mesh/mandate';
import type { AnchorRef, MandateVerifier, VerifiedMandate } from '#mesh/mandate';
import type { MandateReader, MandateSigner } from '../../ports/mandate-issuing.ts';

/** The signer of this process. */
export function createMandateSigner(): MandateSigner {
  return {
    sign(claims, key) {
      try {
        return encodeMandate(claims, key);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        const description = 'The mandate would be longer than any verifier reads; ask for fewer resources or scopes.';
        throw fail('invalid_request', { description, privateDetail: 'mandate_too_long', cause: error });
      }
    },
  };
}

/** Reads presented mandates by the verifier every service uses. */
export function createMandateReader(verifier: Pick<MandateVerifier, 'verify'>): MandateReader {
  // A verified mandate is one object for as long as the verifier remembers it, and is looked at twice for each call.
  const listed = new WeakMap<VerifiedMandate, readonly AnchorRef[]>();
  return {
    verify: async (token) => verifier.verify(token),
    anchorsOf(mandate) {
      const anchors = listed.get(mandate) ?? mandateAnchors(mandate);
      listed.set(mandate, anchors);
      return anchors;
    },
  };
}
