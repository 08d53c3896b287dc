// Takes bearers at the STS itself, for the one RPC that mandates may call: the mandate, and the proof where it is bound.
import { createBearerVerifier, createDpopChecker, createServiceNonces } from '#mesh/mandate';
import type { MandateVerifier, PresentedBearer, ProvenMandate } from '#mesh/mandate';
import type { SingleUse } from '../../ports/single-use.ts';
import type { ProofCheckerOptions } from './proof-checker-dpop.ts';

export interface OpenBearerVerifier {
  readonly verifyBearer: (token: string, presented: PresentedBearer) => Promise<ProvenMandate>;
  readonly proofNonce: () => string;
}

export function openBearerVerifier(
  options: ProofCheckerOptions & { readonly verifier: MandateVerifier; readonly singleUse: SingleUse },
): OpenBearerVerifier {
  const { issuerUrl, clock, verifier, singleUse: marks } = options;
  const keys = { current: options.auditHmacKey, previous: options.auditHmacKeyPrevious };
  const nonces = createServiceNonces('sts', keys, clock);
  const proofs = createDpopChecker({ place: 'resource', publicUrls: [issuerUrl], nonces, clock });
  const verify = createBearerVerifier({ verifier, proofs, marks });
  return {
    verifyBearer: async (_token, presented) => verify(presented),
    proofNonce: () => proofs.nonce(),
  };
}
