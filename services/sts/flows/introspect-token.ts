// What a token is worth now (RFC 7662): told to the client it was issued to and to whoever serves what it is made out to,
// after the anchors on a fresh view. Everyone else, and every token that is not worth anything, gets the same words.
import { asFailure, fail } from '#mesh/failure';
import type { VerifiedMandate } from '#mesh/mandate';
import { inactive, introspectionOf, mayKnow } from '../domain/introspection.ts';
import type { Introspection } from '../domain/introspection.ts';
import type { MandateReader } from '../ports/mandate-issuing.ts';
import type { Revocations } from '../ports/revocations.ts';
import type { Asked } from './evidence.ts';
import { authenticateClient } from './exchange-token/authenticate-client.ts';
import type { AuthenticateDeps, AuthenticatedClient, ClientCredential } from './exchange-token/authenticate-client.ts';
import { recordClientRefusal } from './refuse-client.ts';
import type { RefusalDeps } from './refuse-client.ts';

/** What a client asks about a token. */
export interface TokenQuestion {
  readonly asked: Asked;
  readonly source: string;
  readonly zoneId: string;
  readonly applicationId: string;
  readonly credential: ClientCredential;
  readonly token: string;
}

export interface ReadTokenDeps {
  readonly mandateReader: MandateReader;
  readonly revocations: Revocations;
}

export type IntrospectDeps = AuthenticateDeps & ReadTokenDeps & RefusalDeps;

/**
 * The mandate behind a token of this zone, revoked or not; undefined for what is none, is of another zone or has expired.
 * Throws when nobody can say.
 */
export async function readToken(
  deps: Pick<ReadTokenDeps, 'mandateReader'>,
  zoneId: string,
  token: string,
): Promise<VerifiedMandate | undefined> {
  try {
    const mandate = await deps.mandateReader.verify(token);
    return mandate.claims.zone_id === zoneId ? mandate : undefined;
  } catch (error) {
    if (asFailure(error).reason === 'invalid_token') return undefined;
    throw error;
  }
}

/** The mandate, if nothing it rests on was revoked. Single use is judged where a call is served, and not asked here. */
async function readLive(deps: ReadTokenDeps, zoneId: string, token: string): Promise<VerifiedMandate | undefined> {
  const mandate = await readToken(deps, zoneId, token);
  // The anchors in the turn that answers, on a view that is fresh then.
  deps.revocations.assertUsable();
  const refused =
    mandate && deps.revocations.refuses(zoneId, mandate.claims.rev, deps.mandateReader.anchorsOf(mandate));
  return refused ? undefined : mandate;
}

/** For administrators of the zone, who may know of every token of it. Throws `revocation_stale`, `store_unavailable`. */
export async function introspectForZone(
  deps: ReadTokenDeps,
  question: { readonly zoneId: string; readonly token: string },
): Promise<Introspection> {
  const mandate = await readLive(deps, question.zoneId, question.token);
  return mandate ? introspectionOf(mandate.claims) : inactive;
}

/**
 * For clients. Throws `invalid_client` for whoever is none, and `revocation_stale` rather than guess. Asking about someone
 * else's live token leaves evidence.
 */
export async function introspectToken(deps: IntrospectDeps, question: TokenQuestion): Promise<Introspection> {
  let client: AuthenticatedClient | undefined;
  try {
    deps.revocations.assertUsable();
    client = await authenticateClient(deps, question);
    const mandate = await readLive(deps, client.zone.id, question.token);
    if (!mandate) return inactive;
    if (mayKnow(client.application, mandate.claims)) return introspectionOf(mandate.claims);
    const { jti, client_id: issuedTo } = mandate.claims;
    const failure = fail('access_denied', { privateDetail: 'token_of_another_client' });
    await recordClientRefusal(deps, {
      eventType: 'token.introspect',
      request: question,
      client,
      failure,
      facts: { jti, issued_to: issuedTo },
    });
    return inactive;
  } catch (error) {
    const failure = asFailure(error);
    await recordClientRefusal(deps, { eventType: 'token.introspect', request: question, client, failure });
    throw failure;
  }
}
