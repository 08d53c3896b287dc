// The need: a zone's keys, the signature under a mandate, and the mandates that others present.
import type { AnchorRef, MandateClaims, SigningKey, VerifiedMandate, ZoneJwk } from '#mesh/mandate';

/** Opened keys are held at most 15 minutes and dropped when the zone's keys change. */
export interface ZoneKeys {
  /** The key that signs now; undefined when the zone has none. Throws `store_unavailable`. */
  signingKey(zoneId: string): Promise<SigningKey | undefined>;
  /** Whether a key that was handed out may sign still; asked in the turn that signs, beside the anchors. */
  maySign(key: SigningKey): boolean;
  /**
   * All keys that may verify, newest first; undefined for a zone that does not exist. A reader that wants a key by its id
   * is not answered without it before the truth was looked at again.
   */
  published(zoneId: string, wantedKid?: string): Promise<readonly ZoneJwk[] | undefined>;
}

/** Signs in the calling turn, so that what was checked just before still holds. */
export interface MandateSigner {
  /** Throws `invalid_request` when the mandate would be longer than any verifier reads. */
  sign(claims: MandateClaims, key: SigningKey): string;
}

export interface MandateReader {
  /** Signature, issuer and time are right; class, zone and anchors are the caller's. Throws `invalid_token`. */
  verify(token: string): Promise<VerifiedMandate>;
  /** Everything by which an anchor can hit this mandate. */
  anchorsOf(mandate: VerifiedMandate): readonly AnchorRef[];
}
