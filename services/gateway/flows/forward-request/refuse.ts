// The way out for a call that may not go on: evidence first, then the documented error with what the caller needs to do
// better. A refusal that cannot be recorded is not released as such.
import { asFailure, catalogue, type Failure, type FailureReason, type JsonObject } from '#mesh/failure';
import { readBearer } from '../../domain/bearer.ts';
import { challenge, publicBase } from '../../domain/challenge.ts';
import { outcomeEvent, refusalEvent } from './evidence.ts';
import type { Exchange, ForwardDeps } from './exchange.ts';

export async function refuse(exchange: Exchange, deps: ForwardDeps, failure: Failure): Promise<void> {
  const shown = await recorded(exchange, deps, failure);
  const { httpStatus } = catalogue[shown.reason];
  if (!exchange.gone) exchange.sink.refuse(shown, refusalHeaders(exchange, deps, shown));
  report(exchange, deps, { status: httpStatus, outcome: shown.reason, failure: shown });
}

/** RFC 9110 has no number for a caller that left; proxies write 499 into their records. */
export const statusCallerGone = 499;

/** The end of a call whose caller left before anything went to the upstream. */
export function leave(exchange: Exchange, deps: ForwardDeps): void {
  const end = { status: statusCallerGone, outcome: 'caller_gone' };
  if (exchange.verdict !== undefined) {
    deps.evidence.emitLater(outcomeEvent(exchange, notSent(exchange, deps, end)));
  }
  report(exchange, deps, { ...end, failure: undefined });
}

async function recorded(exchange: Exchange, deps: ForwardDeps, failure: Failure): Promise<Failure> {
  if (exchange.verdict !== undefined) {
    // Allowed, and then something kept it from the upstream: that is an outcome, not another decision.
    const end = { status: catalogue[failure.reason].httpStatus, outcome: failure.reason };
    deps.evidence.emitLater(outcomeEvent(exchange, notSent(exchange, deps, end)));
    return failure;
  }
  if (exchange.decidedBySts) return failure;
  const more = sampled(exchange, deps);
  if (more === undefined) return failure;
  try {
    await deps.evidence.emit(refusalEvent(exchange, failure, more));
    return failure;
  } catch (error) {
    return asFailure(error);
  }
}

function notSent(
  exchange: Exchange,
  deps: ForwardDeps,
  { status, outcome }: { status: number; outcome: string },
): Parameters<typeof outcomeEvent>[1] {
  return {
    status,
    upstreamStatus: undefined,
    bytesIn: exchange.call.bodyBytes(),
    bytesOut: 0,
    milliseconds: deps.clock.monotonic() - exchange.startedAtMs,
    reason: outcome,
  };
}

/** Undefined when this refusal is only counted. Once a mandate is verified, every refusal is recorded. */
function sampled(exchange: Exchange, deps: ForwardDeps): JsonObject | undefined {
  if (exchange.bearer !== undefined) return {};
  const sample = deps.sampler.admit(exchange.call.remoteAddress);
  if (sample === undefined) return undefined;
  const read = readBearer(exchange.headers.authorization);
  const claimed = read.kind === 'token' ? deps.claimedZone(read.token) : undefined;
  return {
    ...(claimed === undefined ? {} : { claimed_zone: claimed }),
    ...(sample.suppressed === 0 ? {} : { suppressed: sample.suppressed }),
  };
}

/** WWW-Authenticate where a better credential would help (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1). */
export function refusalHeaders(exchange: Exchange, deps: ForwardDeps, failure: Failure): string[] {
  const { httpStatus } = catalogue[failure.reason];
  if (httpStatus !== 401 && failure.reason !== 'insufficient_scope') return [];
  const { route } = exchange;
  const mounted = route?.kind === 'mount' ? deps.catalogue.bySlugs(route.zoneSlug, route.resourceSlug) : undefined;
  const facts = {
    base: publicBase(deps.publicUrls, exchange.call.authority),
    resource: exchange.resource ?? mounted,
    error: errorWord(failure),
    requiredScopes: exchange.requiredScopes,
  };
  const bearer = ['www-authenticate', challenge({ ...facts, proofAlgorithms: [] })];
  const proof = ['www-authenticate', challenge({ ...facts, proofAlgorithms: deps.proofs.algorithms })];
  if (failure.reason === 'unauthenticated') return [...bearer, ...proof];
  if (!usesProof(exchange)) return bearer;
  // RFC 9449 §8.2: whoever has to prove anew gets the nonce that makes it count, whatever was wrong.
  return wantsOtherProof(failure) ? [...proof, 'dpop-nonce', deps.proofs.nonce()] : proof;
}

const wantsOtherProof = ({ reason }: Failure): boolean =>
  reason === 'dpop_proof_rejected' || reason === 'dpop_nonce_required';

/** True when the call came as one with a proof, or should have. */
function usesProof({ bearer, headers }: Exchange): boolean {
  if (bearer?.mandate.claims.cnf?.jkt !== undefined) return true;
  const read = readBearer(headers.authorization);
  return read.kind === 'token' && read.scheme === 'dpop';
}

const errorWords: Readonly<Partial<Record<FailureReason, ReturnType<typeof errorWord>>>> = {
  unauthenticated: undefined,
  insufficient_scope: 'insufficient_scope',
  interaction_required: 'interaction_required',
  dpop_proof_rejected: 'invalid_dpop_proof',
  dpop_nonce_required: 'use_dpop_nonce',
};

function errorWord({ reason }: Failure): Parameters<typeof challenge>[0]['error'] {
  return reason in errorWords ? errorWords[reason] : 'invalid_token';
}

export function report(
  exchange: Exchange,
  deps: ForwardDeps,
  end: { status: number; outcome: string; failure: Failure | undefined },
): void {
  deps.ended({
    requestId: exchange.call.requestId,
    traceId: exchange.trace.traceId,
    zoneId: exchange.zoneId,
    reused: exchange.reused,
    milliseconds: deps.clock.monotonic() - exchange.startedAtMs,
    ...end,
  });
}
