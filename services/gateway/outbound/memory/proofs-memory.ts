// Proofs of possession for the Gateway at https://gateway.test: the real check under a key of the test's own.
import type { Clock } from '#mesh/time';
import type { ProofChecker } from '../../ports/proof-checker.ts';
import { createProofChecker } from '../possession/proof-checker-dpop.ts';

export function createProofsMemory(clock: Pick<Clock, 'now'>): ProofChecker {
  const auditHmacKey = Buffer.alloc(32, 7);
  return createProofChecker({ gatewayPublicUrls: ['https://gateway.test'], auditHmacKey, clock });
}
