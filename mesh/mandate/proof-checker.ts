// The proof check of one service: its outside addresses, its nonces and its clock around the pure rules, and the failures
// that tell a caller what to do better. It stands alone so that STS, Gateway and Coordinator cannot differ.
import { deriveKey } from '#mesh/canonical';
import { fail, type Failure } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import { verifyDpopProof } from './dpop-proof.ts';
import { proofAlgorithms } from './proof-key.ts';
import { createProofNonces, nonceLifeMs, type ProofNonces } from './proof-nonce.ts';
import { requestUris } from './request-uri.ts';

export interface DpopQuestion {
  /** The one DPoP header. Several joined by a comma are no JWT and are refused (RFC 9449 §4.3 item 1). */
  readonly dpop: string;
  readonly method: string;
  /** The request target below the outside addresses; its query is cut off. */
  readonly target: string;
  /** The token the proof came with; undefined where there was none. */
  readonly accessToken?: string | undefined;
  /** False unless said: a proof whose clock is right is taken without a nonce. */
  readonly requireNonce?: boolean | undefined;
}

/** A proof that is right, with what makes it good once. */
export interface CheckedDpop {
  readonly jkt: string;
  readonly replayId: string;
  /** How long this very proof could still be shown to any replica, milliseconds. */
  readonly ttlMs: number;
  /** It can not have been accepted before, epoch milliseconds on the installation's clock. */
  readonly issuedAtMs: number;
  /** It carried a nonce: its sender will want the next one (RFC 9449 §8.2). */
  readonly hasNonce: boolean;
}

/** Where a proof is shown: the token endpoint answers 400 (RFC 9449 §5, §8), a resource 401 (§7.1, §9). */
export type ProofPlace = 'token_endpoint' | 'resource';

export interface DpopChecker {
  /** Throws `invalid_dpop_proof` or `use_dpop_nonce`, at a resource `dpop_proof_rejected` or `dpop_nonce_required`. */
  check(question: DpopQuestion): CheckedDpop;
  /** A nonce for the DPoP-Nonce header. */
  nonce(): string;
}

export interface DpopCheckerOptions {
  readonly place: ProofPlace;
  /** The outside addresses, without the request's path. Without any nothing can be proven. */
  readonly publicUrls: readonly string[];
  readonly nonces: ProofNonces;
  readonly clock: Pick<Clock, 'now'>;
  /** For one who judges a proof again that another service of ours has just taken: how much later that may be. */
  readonly graceMs?: number | undefined;
}

// Clocks of two replicas and the way of a mark to Redis: longer than a proof lives, by this.
const MARK_MARGIN_MS = 10_000;

const reasons = {
  token_endpoint: { refused: 'invalid_dpop_proof', nonce: 'use_dpop_nonce' },
  resource: { refused: 'dpop_proof_rejected', nonce: 'dpop_nonce_required' },
} as const;

/** The failure for a proof that is not right, or was shown before. */
export function proofRefused(place: ProofPlace, cause: string): Failure {
  return fail(reasons[place].refused, { privateDetail: cause });
}

/** The failure that asks for another proof, made with a nonce of ours. */
export function nonceWanted(place: ProofPlace, cause: string): Failure {
  return fail(reasons[place].nonce, { privateDetail: cause });
}

/** Nonces of a service, under keys derived from one that all its replicas hold; `previous` during a rotation. */
export function createServiceNonces(
  service: 'sts' | 'gateway' | 'coordinator',
  keys: { readonly current: Uint8Array; readonly previous?: Uint8Array | undefined },
  clock: Pick<Clock, 'now'>,
): ProofNonces {
  const own = (key: Uint8Array): Buffer => deriveKey(key, `caracal/${service}/dpop-nonce/v1`);
  const { current, previous } = keys;
  return createProofNonces([own(current), ...(previous === undefined ? [] : [own(previous)])], clock);
}

export function createDpopChecker(options: DpopCheckerOptions): DpopChecker {
  const { place, publicUrls, nonces, clock, graceMs = 0 } = options;
  return {
    check({ dpop, method, target, accessToken, requireNonce = false }) {
      const nowMs = clock.now();
      const verdict = verifyDpopProof(dpop, {
        method,
        uris: requestUris(publicUrls, target),
        accessToken,
        nowMs,
        nonceIssuedAtMs: (nonce) => nonces.issuedAtMs(nonce, graceMs),
        nonceLifeMs,
        graceMs,
        requireNonce,
      });
      switch (verdict.kind) {
        case 'refused':
          throw proofRefused(place, verdict.cause);
        case 'nonce_wanted':
          throw nonceWanted(place, verdict.cause);
        case 'proven': {
          const { jkt, replayId, acceptableFromMs, acceptableUntilMs, hasNonce } = verdict;
          const ttlMs = Math.ceil(acceptableUntilMs - nowMs) + MARK_MARGIN_MS;
          return { jkt, replayId, ttlMs, issuedAtMs: Math.floor(acceptableFromMs), hasNonce };
        }
      }
    },
    nonce: () => nonces.issue(),
  };
}

/** The WWW-Authenticate value for a refused proof (RFC 9449 §7.1); undefined for every other failure. */
export function proofChallenge({ reason, entry }: Failure): string | undefined {
  if (reason !== reasons.resource.refused && reason !== reasons.resource.nonce) return undefined;
  return `DPoP error="${entry.oauthError}", algs="${proofAlgorithms.join(' ')}"`;
}
