// POST /oauth/2/token and its alias: the form in, RFC 8693 §2.2 out. Nothing about it is ever cached.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#mesh/failure';
import { acceptForms, requestIdOf, traceOf } from '#mesh/http';
import { remoteOf } from '#mesh/listener';
import type { TokenGrant, TokenRequest } from '../../flows/exchange-token/token-request.ts';
import { offerNonce, presentedProof } from './presented-proof.ts';
import { readTokenForm } from './token-form.ts';

/** authority.md "Token endpoint". */
const maxFormBytes = 64 * 1024;
const paths = ['/oauth/2/token', '/oauth2/token'] as const;

export interface TokenEndpointDeps {
  readonly exchangeToken: (request: TokenRequest) => Promise<TokenGrant>;
  /** A nonce for the next proof (RFC 9449 §8). */
  readonly proofNonce: () => string;
}

/** Headers of the Gateway's own calls: ignoring them would mislead the caller. */
function refuseForeignHeaders(request: FastifyRequest): void {
  for (const name of Object.keys(request.headers)) {
    if (name.startsWith('x-caracal-gateway-')) {
      throw fail('invalid_request', { description: 'Gateway headers have no meaning here.' });
    }
  }
}

function formOf(request: FastifyRequest): URLSearchParams {
  if (request.raw.url?.includes('?') === true) {
    throw fail('invalid_request', { description: 'Parameters belong in the form, not in the query.' });
  }
  if (!(request.body instanceof URLSearchParams)) throw fail('unsupported_media_type');
  return request.body;
}

function body(grant: TokenGrant): object {
  return {
    access_token: grant.accessToken,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    // RFC 9449 §5; a mandate bound to a certificate is shown as a bearer (RFC 8705 §3).
    token_type: grant.confirmation?.jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: grant.expiresInSeconds,
    ...(grant.scopes.length > 0 ? { scope: grant.scopes.join(' ') } : {}),
    target_resources: grant.targets,
    ...(grant.denied.length > 0
      ? {
          denied_resources: grant.denied.map(({ resource, error, description, diagnostics }) => ({
            resource,
            error,
            error_description: description,
            ...(diagnostics.length > 0 ? { diagnostics } : {}),
          })),
        }
      : {}),
  };
}

async function answer(deps: TokenEndpointDeps, request: FastifyRequest, reply: FastifyReply): Promise<object> {
  // RFC 6749 §5.1: before anything can go wrong, so that errors carry it too.
  void reply.header('cache-control', 'no-store').header('pragma', 'no-cache');
  offerNonce(request, reply, deps.proofNonce);
  refuseForeignHeaders(request);
  const form = readTokenForm(formOf(request), request.headers.authorization);
  const asked = { requestId: requestIdOf(request.raw), traceId: traceOf(request.raw).traceId };
  const proof = presentedProof(request);
  return body(await deps.exchangeToken({ ...form, asked, proof, source: remoteOf(request.raw) }));
}

/** Adds the routes. Forms are understood here and nowhere else. */
export async function addTokenEndpoint(app: FastifyInstance, deps: TokenEndpointDeps): Promise<void> {
  await app.register(async (scope) => {
    acceptForms(scope, maxFormBytes);
    for (const path of paths) scope.post(path, async (request, reply) => answer(deps, request, reply));
  });
}
