// The need: whether a client assertion was signed with a registered key, at a cost that does not tell whether there was one.
import type { JsonObject } from '#mesh/failure';
import type { AssertionAlgorithm } from '../domain/client-assertion.ts';

export interface AssertionSignature {
  /** The compact serialisation. */
  readonly assertion: string;
  readonly algorithm: AssertionAlgorithm;
  /** The public JWK to check with; undefined costs the same as a signature that does not match. */
  readonly key: JsonObject | undefined;
}

export interface AssertionVerifier {
  /** Never throws for what a client sent or registered. */
  isSignedBy(signature: AssertionSignature): Promise<boolean>;
}
