// Checks DPoP proofs of governed calls, made for one of the Gateway's outside addresses.
import { createDpopChecker, createServiceNonces, proofAlgorithms } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { ProofChecker } from '../../ports/proof-checker.ts';

export interface ProofCheckerOptions {
  readonly gatewayPublicUrls: readonly string[];
  /** Every replica holds it, so that each accepts the nonces of all. */
  readonly auditHmacKey: Uint8Array;
  readonly auditHmacKeyPrevious?: Uint8Array | undefined;
  readonly clock: Pick<Clock, 'now'>;
}

export function createProofChecker(options: ProofCheckerOptions): ProofChecker {
  const { gatewayPublicUrls: publicUrls, clock } = options;
  const keys = { current: options.auditHmacKey, previous: options.auditHmacKeyPrevious };
  const nonces = createServiceNonces('gateway', keys, clock);
  const checker = createDpopChecker({ place: 'resource', publicUrls, nonces, clock });
  return { ...checker, algorithms: proofAlgorithms };
}
