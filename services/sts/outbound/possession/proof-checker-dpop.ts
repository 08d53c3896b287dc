// Checks DPoP proofs for the STS: those made for its own address, and those that the Coordinator has taken for its address
// and passes on with a bearer.
import { createDpopChecker, createServiceNonces } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { ProofChecker } from '../../ports/proof-checker.ts';

export interface ProofCheckerOptions {
  readonly issuerUrl: string;
  /** Undefined: no proof for the Coordinator's address can be right. */
  readonly coordinatorPublicUrl?: string | undefined;
  /** STS and Coordinator both hold it, so that the STS can tell the nonces of either. */
  readonly auditHmacKey: Uint8Array;
  readonly auditHmacKeyPrevious?: Uint8Array | undefined;
  readonly clock: Pick<Clock, 'now'>;
}

// The Coordinator asks within its own five seconds, and its clock may differ by as much.
const passedOnMs = 10_000;

export function createProofChecker(options: ProofCheckerOptions): ProofChecker {
  const { issuerUrl, coordinatorPublicUrl, clock } = options;
  const keys = { current: options.auditHmacKey, previous: options.auditHmacKeyPrevious };
  const own = createDpopChecker({
    place: 'token_endpoint',
    publicUrls: [issuerUrl],
    nonces: createServiceNonces('sts', keys, clock),
    clock,
  });
  const passedOn = createDpopChecker({
    place: 'resource',
    publicUrls: coordinatorPublicUrl === undefined ? [] : [coordinatorPublicUrl],
    nonces: createServiceNonces('coordinator', keys, clock),
    clock,
    graceMs: passedOnMs,
  });
  return {
    check({ at, path, ...question }) {
      return (at === 'sts' ? own : passedOn).check({ ...question, target: path });
    },
    nonce: () => own.nonce(),
  };
}
