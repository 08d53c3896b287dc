// The first stages: may this process serve, is the request one that can be passed on unambiguously, which resource does
// it name. Nothing here costs more than looking at the request's head.
import { asFailure, fail, type Failure } from '#mesh/failure';
import { readBearer } from '../../domain/bearer.ts';
import { judgePath, readTarget } from '../../domain/request-path.ts';
import { chooseRoute, type Resource, type Route } from '../../domain/routing.ts';
import type { Exchange, ForwardDeps } from './exchange.ts';

/** Lease and freshness before anything else (see Revocations). */
export function admit(_exchange: Exchange, deps: ForwardDeps): Failure | undefined {
  try {
    deps.revocations.assertUsable();
    return undefined;
  } catch (error) {
    return asFailure(error);
  }
}

// TRACE echoes the request, injected credential and all (RFC 9110 §9.3.8); CONNECT names a destination of its own.
const refusedMethods = new Set(['TRACE', 'TRACK', 'CONNECT']);
// Methods are case-sensitive (RFC 9110 §9.1); policy is asked about upper-case ones alone.
const methodForm = /^[A-Z][A-Z0-9-]{0,31}$/;

/** What can be refused by the head alone. */
export function readHead(exchange: Exchange, deps: ForwardDeps): Failure | undefined {
  const { call, headers } = exchange;
  if (refusedMethods.has(call.method) || !methodForm.test(call.method)) return fail('method_not_allowed');
  if (headers.repeated !== undefined) {
    return fail('invalid_request', { fields: [{ path: headers.repeated, rule: 'stands once' }] });
  }
  if ((call.contentLength ?? 0) > deps.limits.maxRequestBytes) return fail('payload_too_large');
  return readApproval(exchange);
}

// An id of 36 characters or a secret of 43, with room for others to come.
const approvalForm = /^[\x21-\x7e]{1,128}$/;

/** An approval and its secret stand together or not at all: the one says nothing without the other. */
function readApproval(exchange: Exchange): Failure | undefined {
  const { challengeId: id, challengeSecret: secret } = exchange.headers;
  if (id === undefined && secret === undefined) return undefined;
  if (id === undefined || secret === undefined || !approvalForm.test(id) || !approvalForm.test(secret)) {
    const rule = 'with X-Caracal-Challenge-Secret, both as they were given';
    return fail('invalid_request', { fields: [{ path: 'X-Caracal-Challenge-Id', rule }] });
  }
  exchange.approval = { id, secret };
  return undefined;
}

/** Splits the target, finds how the resource is named, and judges the path that is left for the upstream. */
export function locate(exchange: Exchange, deps: ForwardDeps): Failure | undefined {
  const read = readTarget(exchange.call.target);
  if (read.kind === 'refused') return invalidPath(read.rule);
  const route = chooseRoute(read.target, exchange.headers.resource);
  if (route.kind === 'refused') {
    return fail('invalid_request', { fields: [{ path: 'X-Caracal-Resource', rule: route.rule }] });
  }
  exchange.route = route;
  const strict = judgePath(route.target.path, false);
  if (strict.kind === 'accepted') {
    exchange.policyPath = strict.policyPath;
    return undefined;
  }
  // Only here does it matter which resource is meant before the mandate is proven: is it one that allows odd paths?
  if (candidate(exchange, deps, route)?.oddPathsAllowed !== true) return invalidPath(strict.rule);
  const odd = judgePath(route.target.path, true);
  if (odd.kind === 'refused') return invalidPath(odd.rule);
  exchange.policyPath = odd.policyPath;
  exchange.oddPath = true;
  return undefined;
}

function candidate(exchange: Exchange, deps: ForwardDeps, route: Route): Resource | undefined {
  if (route.kind === 'mount') return deps.catalogue.bySlugs(route.zoneSlug, route.resourceSlug);
  const bearer = readBearer(exchange.headers.authorization);
  const zoneId = bearer.kind === 'token' ? deps.claimedZone(bearer.token) : undefined;
  return zoneId === undefined ? undefined : deps.catalogue.byIdentifier(zoneId, route.identifier);
}

function invalidPath(rule: string): Failure {
  return fail('invalid_path', { fields: [{ path: 'path', rule }] });
}
