// Takes a bearer at a service of ours: the mandate, and where it is bound to a key, the proof that came with it, spent once
// (RFC 9449 §7, RFC 8705 §3). For surfaces that verify in one step; the Gateway has stages of its own.
import { isProven, type ProvenKey } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { VerifiedMandate } from './claims.ts';
import { nonceWanted, proofRefused, type DpopChecker } from './proof-checker.ts';
import type { MandateVerifier } from './verifier.ts';

/** A credential as a request showed it. */
export interface PresentedBearer {
  /** RFC 6750 §2.1 or RFC 9449 §7.1; the second promises a proof. */
  readonly scheme: 'bearer' | 'dpop';
  readonly token: string;
  /** The one DPoP header; undefined without one. */
  readonly dpop: string | undefined;
  readonly method: string;
  /** The request target as received. */
  readonly target: string;
  /** RFC 8705 §3.1 thumbprint of the connection's client certificate, where it may prove anything. */
  readonly certificateThumbprint: string | undefined;
}

/** A mandate whose keys, if it is bound to any, this very request has proven. */
export interface ProvenMandate extends VerifiedMandate {
  readonly proven: ProvenKey;
  readonly presented: PresentedBearer;
}

/** Marks over all replicas; the replay store of #mesh/redis. */
export interface ProofMarks {
  spend(mark: {
    readonly zoneId: string;
    readonly kind: 'dpop';
    readonly id: string;
    readonly ttlMs: number;
    readonly issuedAtMs: number;
  }): Promise<'first' | 'replayed'>;
  /** Whether the marks reach back that far. */
  remembers(issuedAtMs: number): boolean;
}

export interface BearerVerifierOptions {
  readonly verifier: Pick<MandateVerifier, 'verify' | 'recall'>;
  /** For place `resource`. */
  readonly proofs: DpopChecker;
  readonly marks: ProofMarks;
}

/**
 * Rejects with `invalid_token`, `dpop_proof_rejected`, `dpop_nonce_required`, `replay_store_unavailable`, or what the key
 * source says. Class, zone and anchors are the caller's.
 */
export type VerifyPresented = (presented: PresentedBearer) => Promise<ProvenMandate>;

export function createBearerVerifier({ verifier, proofs, marks }: BearerVerifierOptions): VerifyPresented {
  async function proveKey(mandate: VerifiedMandate, presented: PresentedBearer): Promise<string> {
    const { dpop, method, target, token } = presented;
    if (dpop === undefined) throw proofRefused('resource', 'no_proof');
    const { jkt, replayId, ttlMs, issuedAtMs } = proofs.check({ dpop, method, target, accessToken: token });
    if (jkt !== mandate.claims.cnf?.jkt) throw proofRefused('resource', 'other_key');
    // Before the marks' memory begins nobody knows what was shown; a nonce of ours is younger than that.
    if (!marks.remembers(issuedAtMs)) throw nonceWanted('resource', 'marks_lost');
    const mark = { zoneId: mandate.claims.zone_id, kind: 'dpop', id: replayId, ttlMs, issuedAtMs } as const;
    if ((await marks.spend(mark)) !== 'first') throw proofRefused('resource', 'proof_replayed');
    return jkt;
  }

  return async (presented) => {
    const { token, scheme, certificateThumbprint: x5tS256 } = presented;
    const mandate = verifier.recall(token) ?? (await verifier.verify(token));
    const { cnf } = mandate.claims;
    // RFC 9449 §7.1: a bound mandate is no bearer, and a bearer proves nothing.
    const promised = cnf?.jkt === undefined ? 'bearer' : 'dpop';
    if (scheme !== promised) throw fail('invalid_token', { privateDetail: 'wrong_scheme' });
    const byCertificate = x5tS256 === undefined ? {} : { x5tS256 };
    const proven = scheme === 'dpop' ? { ...byCertificate, jkt: await proveKey(mandate, presented) } : byCertificate;
    if (!isProven(cnf, proven)) throw fail('invalid_token', { privateDetail: 'proof_required' });
    return { ...mandate, proven, presented };
  };
}
