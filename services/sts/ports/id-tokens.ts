// The need: that an id token was signed by the issuer it is said to come from, by the algorithms it is registered with.
import type { JsonObject } from '#mesh/failure';
import type { SubjectIssuer } from '../domain/subject-issuer.ts';

export type IdTokenSignature =
  | { readonly kind: 'genuine'; readonly payload: JsonObject }
  /** `cause` for evidence: the token, its header or its key is not what the registration asks for. */
  | { readonly kind: 'refused'; readonly cause: string };

export interface IdTokens {
  /** Throws `issuer_unavailable` when the issuer's keys cannot be read and none are remembered. */
  verify(token: string, issuer: SubjectIssuer): Promise<IdTokenSignature>;
}
