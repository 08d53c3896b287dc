// POST /oauth/2/token and its alias: the form in, RFC 8693 §2.2 out. Nothing about it is ever cached.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { TokenGrant, TokenRequest } from '../../flows/exchange-token/token-request.ts';
import { addFormEndpoint, readForm } from './form-endpoint.ts';
import type { Unread } from './form-endpoint.ts';
import { offerNonce, presentedProof } from './presented-proof.ts';
import { readTokenForm } from './token-form.ts';

const paths = ['/oauth/2/token', '/oauth2/token'] as const;

export interface TokenEndpointDeps {
  readonly exchangeToken: (request: TokenRequest) => Promise<TokenGrant>;
  /** Leaves evidence of a request that could not be read. */
  readonly recordUnread: (unread: Unread) => Promise<void>;
  /** A nonce for the next proof (RFC 9449 §8). */
  readonly proofNonce: () => string;
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
  offerNonce(request, reply, deps.proofNonce);
  const read = await readForm(
    request,
    ({ form, authorization, asked, source }) => ({
      ...readTokenForm(form, authorization),
      proof: presentedProof(request),
      asked,
      source,
    }),
    deps.recordUnread,
  );
  return body(await deps.exchangeToken(read));
}

/** Adds the routes. */
export async function addTokenEndpoint(app: FastifyInstance, deps: TokenEndpointDeps): Promise<void> {
  await addFormEndpoint(app, paths, async (request, reply) => answer(deps, request, reply));
}
