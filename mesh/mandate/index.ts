// Mandates: parse, verify, write, and what a revocation can hit.
//
//   const keys = createJwksCache({ fetchJwks, clock });
//   const verifier = createMandateVerifier({ issuer, keys, clock });
//   const mandate = verifier.recall(token) ?? (await verifier.verify(token));      // Failure invalid_token
//   const refusal = refuseMandate(mandate.claims, { at: 'gateway', issuer, zoneId, resource });
//   const anchor = revocations.refuses(mandate.claims.zone_id, mandate.claims.rev, mandateAnchors(mandate));
//
// The STS alone writes them: encodeMandate(claims, { kid, privateKey }).
//
// Proofs of possession (RFC 9449), for a mandate with `cnf`:
//   const proofs = createDpopChecker({ place: 'resource', publicUrls, nonces: createServiceNonces(…), clock });
//   const { jkt, replayId, ttlMs, issuedAtMs } = proofs.check({ dpop, method, target, accessToken: token });
//   isProven(mandate.claims.cnf, { jkt, x5tS256 });                          // #mesh/authority; then spend replayId once
export { refuseMandate, type MandatePlace, type MandateRefusal } from '#mesh/authority';
export * from './anchors.ts';
export * from './claims.ts';
export {
  accessTokenHash,
  proofLimits,
  verifyDpopProof,
  type ProofRefusal,
  type ProofRequest,
  type ProofVerdict,
} from './dpop-proof.ts';
export { encodeMandate, type SigningKey } from './encode.ts';
export * from './jwks-cache.ts';
export * from './jwks.ts';
export { decodeBase64Url, parseMandate, type MandateHeader, type ParsedMandate } from './parse.ts';
export * from './possession.ts';
export * from './proof-checker.ts';
export {
  jwkThumbprint,
  proofAlgorithms,
  readProofKey,
  verifyProofSignature,
  type ProofAlgorithm,
  type ProofKey,
} from './proof-key.ts';
export { createProofNonces, nonceLifeMs, type ProofNonces } from './proof-nonce.ts';
export { readClaims } from './read-claims.ts';
export { normalRequestUri, requestUris } from './request-uri.ts';
export * from './schema.ts';
export { isP256, signEs256, verifyEs256 } from './signature.ts';
export * from './verifier.ts';
