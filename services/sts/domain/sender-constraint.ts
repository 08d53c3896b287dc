// Which key a new mandate is bound to (RFC 9449 §5, RFC 8705 §3, authority.md "Sender constraint"). It stands alone because
// every mint of the STS asks the same question.
import { isProven } from '#mesh/authority';
import type { ProvenKey } from '#mesh/authority';
import type { ConfirmationClaim } from '#mesh/mandate';

export interface BindingQuestion {
  /** The application's `sender_constraint`: off, allowed or required. */
  readonly senderConstraint: string;
  /** `cnf` of the subject mandate; undefined without a subject, or for one that is not bound. */
  readonly subjectConfirmation: ConfirmationClaim | undefined;
  readonly proven: ProvenKey;
}

export type BindingVerdict =
  /** What the mandate's `cnf` will be; undefined leaves it a bearer. */
  | { readonly kind: 'decided'; readonly confirmation: ConfirmationClaim | undefined }
  /** The subject is bound to a key that this request has not proven: it is not its holder who asks. */
  | { readonly kind: 'subject_unproven' }
  /** The application's mandates must be bound, and nothing was proven to bind them to. */
  | { readonly kind: 'proof_required' };

/**
 * The binding of a session's mandate: to the child's own key where the parent names it, else as the parent's own mandate is
 * bound. Nothing turns a bound chain into a bearer, and an application that must be bound gets nothing that is not.
 */
export function sessionBindingOf(question: {
  readonly senderConstraint: string;
  /** `cnf` of the mandate that asks, proven already. */
  readonly callerConfirmation: ConfirmationClaim | undefined;
  /** The thumbprint the caller names for the session's key. */
  readonly childJkt: string | undefined;
}): Exclude<BindingVerdict, { kind: 'subject_unproven' }> {
  const { senderConstraint, callerConfirmation, childJkt } = question;
  const confirmation = childJkt === undefined ? callerConfirmation : { jkt: childJkt };
  const mayBeBearer = senderConstraint === 'off' || senderConstraint === 'allowed';
  return confirmation === undefined && !mayBeBearer ? { kind: 'proof_required' } : { kind: 'decided', confirmation };
}

/** What a mandate from several bound ones is bound to: every key of all of them. Each was proven, so none contradicts. */
export function jointConfirmation(...each: readonly (ConfirmationClaim | undefined)[]): ConfirmationClaim | undefined {
  const joint = Object.assign({}, ...each) as ConfirmationClaim;
  return Object.keys(joint).length > 0 ? joint : undefined;
}

/** A proof the client made on purpose counts before the certificate that its connection happens to carry. */
function confirmationOf({ jkt, x5tS256 }: ProvenKey): ConfirmationClaim | undefined {
  if (jkt !== undefined) return { jkt };
  return x5tS256 === undefined ? undefined : { 'x5t#S256': x5tS256 };
}

/**
 * A mint from a bound subject keeps exactly its binding, whatever the application's policy says now. Otherwise `off` binds
 * nothing, `allowed` binds to what was proven, and `required` does not mint without.
 */
export function bindingOf(question: BindingQuestion): BindingVerdict {
  const { senderConstraint, subjectConfirmation, proven } = question;
  if (subjectConfirmation !== undefined) {
    return isProven(subjectConfirmation, proven)
      ? { kind: 'decided', confirmation: subjectConfirmation }
      : { kind: 'subject_unproven' };
  }
  if (senderConstraint === 'off') return { kind: 'decided', confirmation: undefined };
  const confirmation = confirmationOf(proven);
  // What is not known to be lax is strict.
  if (confirmation === undefined && senderConstraint !== 'allowed') return { kind: 'proof_required' };
  return { kind: 'decided', confirmation };
}
