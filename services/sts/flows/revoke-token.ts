// Ends a mandate at the request of the client it was issued to (RFC 7009): a per-call mandate by its own id, an ambient one
// with everything that was derived from it. What is no mandate of this zone is answered as if it had been revoked.
import { asFailure, fail } from '#mesh/failure';
import type { AnchorRef, MandateClaims } from '#mesh/mandate';
import type { BarrierReport, RevocationBarrier } from '#mesh/revocation';
import type { WatchPlaces } from '../domain/watch-places.ts';
import type { TokenRevoker } from '../ports/token-revoker.ts';
import { authenticateClient } from './exchange-token/authenticate-client.ts';
import type { AuthenticateDeps, AuthenticatedClient } from './exchange-token/authenticate-client.ts';
import { readToken } from './introspect-token.ts';
import type { ReadTokenDeps, TokenQuestion } from './introspect-token.ts';
import { recordClientRefusal } from './refuse-client.ts';
import type { RefusalDeps } from './refuse-client.ts';

export interface RevokeRequest extends TokenQuestion {
  /** How long to wait until every live enforcement point has applied it; undefined does not wait. */
  readonly waitMs: number | undefined;
}

export type RevokeDeps = AuthenticateDeps &
  ReadTokenDeps &
  RefusalDeps & {
    readonly tokenRevoker: TokenRevoker;
    readonly barrier: RevocationBarrier;
    /** Whoever waits at the barrier looks into the database again and again. */
    readonly barrierPlaces: WatchPlaces;
  };

export interface Revoked {
  /** Undefined when there was nothing to revoke. */
  readonly number: number | undefined;
  /** Present when it was waited for. */
  readonly barrier: BarrierReport | undefined;
}

/** authority.md "Token endpoint": per_call by `jti`, ambient by `sid`. */
function anchorOf({ use, jti, sid }: MandateClaims): AnchorRef {
  return use === 'per_call' ? { kind: 'jti', id: jti } : { kind: 'session', id: sid };
}

/**
 * What to revoke; undefined when there is nothing. RFC 7009 §2.1: a token of another client is refused with an error, which
 * tells its holder nothing that the published keys do not.
 */
async function findTarget(
  deps: RevokeDeps,
  { zone, application }: AuthenticatedClient,
  token: string,
): Promise<MandateClaims | undefined> {
  const mandate = await readToken(deps, zone.id, token);
  if (!mandate) return undefined;
  const { claims } = mandate;
  if (claims.client_id !== application.id) {
    throw fail('invalid_request', {
      description: 'The token was not issued to this client.',
      privateDetail: 'token_of_another_client',
    });
  }
  // A mandate made for an upstream is no client's to present, here as elsewhere.
  if (claims.via !== undefined) throw fail('unsupported_token_type', { privateDetail: 'mandate_via_gateway' });
  return claims;
}

/** Writes the anchor unless one is applied already; a repetition costs no number. */
async function write(deps: RevokeDeps, request: RevokeRequest, claims: MandateClaims): Promise<number | undefined> {
  const { zone_id: zoneId, rev, jti, use } = claims;
  const anchor = anchorOf(claims);
  if (deps.revocations.refuses(zoneId, rev, [anchor])) return undefined;
  const { requestId, traceId } = request.asked;
  const { applicationId } = request;
  return deps.tokenRevoker.revoke({ zoneId, anchor, requestId, traceId, applicationId, jti, use });
}

async function wait(deps: RevokeDeps, number: number | undefined, waitMs: number | undefined) {
  if (waitMs === undefined) return undefined;
  return number === undefined ? deps.barrier.waitForAll(waitMs) : deps.barrier.wait(number, waitMs);
}

/** A place at the barrier for who wants to wait, taken before anything is written. The function gives it back. */
function placeAtBarrier({ barrierPlaces }: RevokeDeps, zoneId: string, waitMs: number | undefined): () => void {
  if (waitMs === undefined) return () => undefined;
  const leave = barrierPlaces.enter(zoneId);
  if (!leave) throw fail('rate_limited', { retryAfterMs: 1000, privateDetail: 'too_many_at_the_barrier' });
  return leave;
}

/**
 * Revokes. Throws `invalid_client`, `invalid_request` and `unsupported_token_type` as RFC 7009 §2.2.1 has them,
 * `rate_limited` when too many wait already, `store_unavailable` when nothing was revoked, `barrier_timeout` when it was and not every point has said so yet.
 */
export async function revokeToken(deps: RevokeDeps, request: RevokeRequest): Promise<Revoked> {
  let client: AuthenticatedClient | undefined;
  let number: number | undefined;
  let leave = (): void => undefined;
  try {
    client = await authenticateClient(deps, request);
    leave = placeAtBarrier(deps, client.zone.id, request.waitMs);
    const claims = await findTarget(deps, client, request.token);
    number = claims && (await write(deps, request, claims));
  } catch (error) {
    leave();
    const failure = asFailure(error);
    await recordClientRefusal(deps, { eventType: 'token.revoke', request, client, failure });
    throw failure;
  }
  try {
    return { number, barrier: await wait(deps, number, request.waitMs) };
  } finally {
    leave();
  }
}
