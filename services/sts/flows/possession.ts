// Proves which keys the caller of a request holds (RFC 9449 §4.3, RFC 8705 §3) and decides what its new mandate is bound
// to. One place, so that token endpoint and session mints answer alike.
import type { ProvenKey } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { ConfirmationClaim } from '#mesh/mandate';
import { bindingOf, sessionBindingOf } from '../domain/sender-constraint.ts';
import type { BindingQuestion } from '../domain/sender-constraint.ts';
import type { ProofChecker } from '../ports/proof-checker.ts';
import type { SingleUse } from '../ports/single-use.ts';

export type { ProvenKey } from '#mesh/authority';

/** What a caller showed, as it was presented. */
export interface PresentedProof {
  /** The one DPoP header; undefined without one. */
  readonly dpop: string | undefined;
  readonly method: 'POST';
  /** The path asked for, without query. */
  readonly path: string;
  /** `x5t#S256` of the TLS client certificate (RFC 8705 §3.1); undefined without one. */
  readonly certificateThumbprint: string | undefined;
}

export interface PossessionDeps {
  readonly proofChecker: ProofChecker;
  readonly singleUse: SingleUse;
}

export interface PossessionQuestion {
  readonly zoneId: string;
  readonly proof: PresentedProof;
  /** The authenticated application's policy; where it is `required`, a proof needs a nonce of ours. */
  readonly senderConstraint: string;
  /** The token that was presented together with the proof, as at a resource; a subject token is none. */
  readonly accessToken?: string | undefined;
}

/**
 * The keys this request proves. A proof is checked even where it binds nothing, and counts once. Throws
 * `invalid_dpop_proof`, `use_dpop_nonce` or `replay_store_unavailable`.
 */
export async function provePossession(deps: PossessionDeps, question: PossessionQuestion): Promise<ProvenKey> {
  const { zoneId, proof, senderConstraint, accessToken } = question;
  const { dpop, method, path, certificateThumbprint } = proof;
  const byCertificate = certificateThumbprint === undefined ? {} : { x5tS256: certificateThumbprint };
  if (dpop === undefined) return byCertificate;
  const requireNonce = senderConstraint === 'required';
  const checked = deps.proofChecker.check({ dpop, method, at: 'sts', path, accessToken, requireNonce });
  const { replayId: id, ttlMs, issuedAtMs } = checked;
  // Before the marks' memory begins nobody knows what was shown; a nonce of ours is younger than that.
  if (!deps.singleUse.remembers(issuedAtMs)) throw fail('use_dpop_nonce', { privateDetail: 'marks_lost' });
  if ((await deps.singleUse.spend({ zoneId, kind: 'dpop', id, ttlMs, issuedAtMs })) !== 'first') {
    throw fail('invalid_dpop_proof', { privateDetail: 'proof_replayed' });
  }
  return { ...byCertificate, jkt: checked.jkt };
}

/**
 * `cnf` of the new mandate, undefined for a bearer. Throws `invalid_token` when the subject is bound to a key that was not
 * proven, `invalid_dpop_proof` when the application may only have bound mandates.
 */
export function requireBinding(question: BindingQuestion): ConfirmationClaim | undefined {
  const verdict = bindingOf(question);
  switch (verdict.kind) {
    case 'decided':
      return verdict.confirmation;
    case 'subject_unproven':
      throw fail('invalid_token', {
        description: 'The subject token is bound to a key that this request does not prove.',
        privateDetail: 'subject_unproven',
      });
    case 'proof_required':
      throw fail('invalid_dpop_proof', {
        description: 'This application may only receive mandates that are bound to a key: prove one.',
        privateDetail: 'proof_required',
      });
  }
}

/** A bearer as the Coordinator has taken it, with what came with it. */
export interface PassedOnProof {
  readonly bearer: string;
  /** The DPoP header; undefined when the bearer came without one. */
  readonly dpop: string | undefined;
  /** The path the proof was made for, below the Coordinator's outside address. */
  readonly path: string;
  /** `x5t#S256` of the certificate of the caller's connection. */
  readonly certificateThumbprint: string | undefined;
}

/**
 * The keys that the caller of the Coordinator proved, checked here again. Its `jti` was spent there, where it was shown.
 * Throws `dpop_proof_rejected` or `dpop_nonce_required`.
 */
export function provePassedOn(deps: Pick<PossessionDeps, 'proofChecker'>, passedOn: PassedOnProof): ProvenKey {
  const { bearer: accessToken, dpop, path, certificateThumbprint } = passedOn;
  const byCertificate = certificateThumbprint === undefined ? {} : { x5tS256: certificateThumbprint };
  if (dpop === undefined) return byCertificate;
  const question = { dpop, method: 'POST', at: 'coordinator', path, accessToken, requireNonce: false } as const;
  return { ...byCertificate, jkt: deps.proofChecker.check(question).jkt };
}

/** `cnf` of a session's mandate. Throws `invalid_request` when it may only be bound and no key is named. */
export function requireSessionBinding(question: Parameters<typeof sessionBindingOf>[0]): ConfirmationClaim | undefined {
  const verdict = sessionBindingOf(question);
  if (verdict.kind === 'decided') return verdict.confirmation;
  const rule = 'required: this application may only receive mandates that are bound to a key';
  throw fail('invalid_request', { fields: [{ path: 'dpop_jkt', rule }], privateDetail: 'proof_required' });
}
