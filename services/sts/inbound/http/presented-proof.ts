// Reads what a request shows of its sender's keys (RFC 9449 §4.1, RFC 8705 §3): its DPoP header and the certificate of its
// connection. The same for every endpoint of the STS that clients authenticate at.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { clientCertificateOf } from '#mesh/identity';
import type { PresentedProof } from '../../flows/possession.ts';

/** Several DPoP headers arrive joined by a comma, which is no JWT: the check refuses them (RFC 9449 §4.3 item 1). */
function proofHeader(request: FastifyRequest): string | undefined {
  const value = request.headers['dpop'];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** For a POST whose target had no query. */
export function presentedProof(request: FastifyRequest): PresentedProof {
  const [path = ''] = request.url.split('?', 1);
  return {
    dpop: proofHeader(request),
    method: 'POST',
    path,
    certificateThumbprint: clientCertificateOf(request.raw),
  };
}

/**
 * Gives a client that proves a key the nonce of its next proof, whatever becomes of this request (RFC 9449 §8.2).
 */
export function offerNonce(request: FastifyRequest, reply: FastifyReply, nonce: () => string): void {
  if (proofHeader(request) === undefined) return;
  void reply.header('dpop-nonce', nonce());
}
