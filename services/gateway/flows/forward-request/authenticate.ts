// The stages about the mandate: is it genuine, is it for this resource, is it revoked, is it used too often.
import { asFailure, fail, type Failure } from '#mesh/failure';
import { readBearer, type AuthorizationScheme } from '../../domain/bearer.ts';
import type { Resource, Route } from '../../domain/routing.ts';
import type { Bearer, Exchange, ForwardDeps } from './exchange.ts';
import { spendProof } from './prove-possession.ts';

/** Signature, issuer, form and time of the bearer; then everything its revocation could be matched by. */
export function verifyBearer(exchange: Exchange, deps: ForwardDeps): Failure | undefined | Promise<undefined> {
  const read = readBearer(exchange.headers.authorization);
  if (read.kind === 'none') return fail('unauthenticated');
  if (read.kind === 'unreadable') return fail('invalid_token');
  const known = deps.recall(read.token);
  if (known === undefined) return verifyAnew(exchange, deps, read);
  exchange.bearer = { mandate: known, anchors: deps.anchorsOf(known), scheme: read.scheme };
  return undefined;
}

async function verifyAnew(
  exchange: Exchange,
  deps: ForwardDeps,
  { token, scheme }: { readonly token: string; readonly scheme: AuthorizationScheme },
): Promise<undefined> {
  const mandate = await deps.verify(token);
  exchange.bearer = { mandate, anchors: deps.anchorsOf(mandate), scheme };
  return undefined;
}

/** The resource, and whether this mandate may be shown for it at all (acceptance table). */
export function acceptForResource(
  exchange: Exchange,
  deps: ForwardDeps,
): Failure | undefined | Promise<Failure | undefined> {
  const { route, bearer } = exchange;
  if (route === undefined || bearer === undefined) return fail('internal_error');
  const known = find(deps, route, bearer);
  if (known !== undefined) return accept(exchange, deps, { bearer, resource: known });
  return afterRefresh(exchange, deps, { route, bearer });
}

// A cache miss is never a refusal: one read, shared by all who miss, decides.
async function afterRefresh(
  exchange: Exchange,
  deps: ForwardDeps,
  { route, bearer }: { route: Route; bearer: Bearer },
): Promise<Failure | undefined> {
  const zoneId = bearer.mandate.claims.zone_id;
  if (route.kind === 'mount') await deps.catalogue.refreshFor(route.zoneSlug, route.resourceSlug, zoneId);
  else await deps.catalogue.refreshFor(zoneId, route.identifier, zoneId);
  const resource = find(deps, route, bearer);
  return resource === undefined ? fail('not_found') : accept(exchange, deps, { bearer, resource });
}

function find(deps: ForwardDeps, route: Route, bearer: Bearer): Resource | undefined {
  return route.kind === 'mount'
    ? deps.catalogue.bySlugs(route.zoneSlug, route.resourceSlug)
    : deps.catalogue.byIdentifier(bearer.mandate.claims.zone_id, route.identifier);
}

function accept(
  exchange: Exchange,
  deps: ForwardDeps,
  { bearer, resource }: { bearer: Bearer; resource: Resource },
): Failure | undefined {
  const { claims } = bearer.mandate;
  // Whose key it is bound to is proven two stages on, after the anchors: cheap first.
  const proven = { jkt: claims.cnf?.jkt, x5tS256: claims.cnf?.['x5t#S256'] };
  const { issuer } = deps;
  const place = { at: 'gateway', issuer, zoneId: resource.zoneId, resource: resource.identifier, proven } as const;
  const refusal = deps.refuseMandate(claims, place);
  if (refusal !== undefined) return fail('invalid_token', { privateDetail: refusal });
  if (exchange.oddPath && !resource.oddPathsAllowed) return fail('invalid_path');
  exchange.resource = resource;
  exchange.singleUse = claims.use === 'per_call';
  return undefined;
}

/** Whether an anchor refuses the mandate, by a view that is usable in this very turn. */
export function checkAnchors(exchange: Exchange, deps: ForwardDeps): Failure | undefined {
  const { bearer } = exchange;
  if (bearer === undefined) return fail('internal_error');
  return revocationOf(bearer, deps);
}

export function revocationOf(bearer: Bearer, deps: Pick<ForwardDeps, 'revocations'>): Failure | undefined {
  try {
    deps.revocations.assertUsable();
  } catch (error) {
    return asFailure(error);
  }
  const { claims } = bearer.mandate;
  const anchor = deps.revocations.refuses(claims.zone_id, claims.rev, bearer.anchors);
  return anchor === undefined ? undefined : fail('token_revoked', { privateDetail: `${anchor.kind} ${anchor.number}` });
}

/** Governed calls a minute of one application at one resource, where a limit is set. */
export function limitRate(exchange: Exchange, deps: ForwardDeps): Failure | undefined | Promise<Failure | undefined> {
  const { resource, bearer } = exchange;
  if (resource === undefined || bearer === undefined) return fail('internal_error');
  const limit = resource.rateLimitPerMinute ?? deps.limits.rateLimitPerMinute;
  if (limit <= 0) return undefined;
  return takeOne(deps, `gateway:${resource.zoneId}:${resource.id}:${bearer.mandate.claims.client_id}`, limit);
}

async function takeOne(deps: ForwardDeps, key: string, limit: number): Promise<Failure | undefined> {
  try {
    const taken = await deps.rateLimiter.take({ key, limit, windowSeconds: 60 });
    return taken.allowed ? undefined : fail('rate_limited', { retryAfterMs: taken.retryAfterMs });
  } catch (error) {
    return deps.limits.limiterMayFail ? undefined : asFailure(error);
  }
}

// Longer than any leeway on `exp`, so that a mark never leaves while its mandate could still be taken.
const markMarginMs = 60_000;

/**
 * A proof and a per_call mandate are spent after everything that is cheap to know and before the decision. With no STS in
 * reach the mandate is not spent, because there would be no decision.
 */
export function spendOnce(exchange: Exchange, deps: ForwardDeps): Failure | undefined | Promise<Failure | undefined> {
  if (!exchange.singleUse) return exchange.proof === undefined ? undefined : spendProof(exchange, deps);
  if (exchange.bearer === undefined) return fail('internal_error');
  if (!deps.authorizer.isConnected()) return fail('sts_unavailable');
  return spendBoth(exchange, exchange.bearer, deps);
}

// The proof first: whoever stole the mandate alone cannot use it up.
async function spendBoth(exchange: Exchange, bearer: Bearer, deps: ForwardDeps): Promise<Failure | undefined> {
  return (await spendProof(exchange, deps)) ?? (await spend(bearer, deps));
}

async function spend(bearer: Bearer, deps: ForwardDeps): Promise<Failure | undefined> {
  const { claims } = bearer.mandate;
  const ttlMs = Math.max(1000, claims.exp * 1000 - deps.clock.now()) + markMarginMs;
  const first = await deps.replayStore.spend({
    zoneId: claims.zone_id,
    kind: 'per_call',
    id: claims.jti,
    ttlMs,
    issuedAtMs: claims.iat * 1000,
  });
  return first === 'first' ? undefined : fail('token_replayed');
}
