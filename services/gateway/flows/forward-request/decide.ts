// The decision: an answer of the STS that may be given again, or a new question to it. Whoever decides has made the
// decision durable before the call goes on.
import { sha256Hex } from '#mesh/canonical';
import { fail, type Failure, type JsonObject } from '#mesh/failure';
import { requestHeaders } from '../../domain/header-rules.ts';
import { readUpstream } from '../../domain/upstream-url.ts';
import { verdictKey, type VerdictKey } from '../../domain/verdict-memory.ts';
import type { Allowed, Answer, Challenge, Question } from '../../ports/authorizer.ts';
import { reuseEvent } from './evidence.ts';
import type { Exchange, ForwardDeps } from './exchange.ts';

// Nothing decided is given again after this long, whatever the STS says: what policy sees of time and traits may move.
const longestReuseMs = 5000;

export async function decide(exchange: Exchange, deps: ForwardDeps): Promise<Failure | undefined> {
  const { bearer, resource } = exchange;
  if (bearer === undefined || resource === undefined) return fail('internal_error');
  const key: VerdictKey = {
    mandateDigest: bearer.mandate.digest,
    zoneId: resource.zoneId,
    resourceId: resource.id,
    resourceVersion: resource.version,
    method: exchange.call.method,
    policyPath: exchange.policyPath,
  };
  exchange.generation = deps.verdicts.generation(resource.zoneId);
  if (mayReuse(exchange) && deps.changesAreFresh()) {
    const kept = deps.verdicts.recall(verdictKey(key), deps.clock.now());
    if (kept !== undefined) return reuse(exchange, deps, kept);
  }
  const answer = await ask(exchange, deps);
  if (answer.kind === 'refused') return refusalOf(exchange, answer);
  exchange.verdict = answer.verdict;
  keep(exchange, deps, key);
  return undefined;
}

/** A verdict on something that is good once, a mandate or an approval, is neither taken from memory nor kept there. */
const mayReuse = ({ singleUse, approval }: Exchange): boolean => !singleUse && approval === undefined;

async function reuse(exchange: Exchange, deps: ForwardDeps, verdict: Allowed): Promise<undefined> {
  exchange.reused = true;
  await deps.evidence.emit(reuseEvent(exchange, verdict));
  exchange.verdict = verdict;
  return undefined;
}

export function questionOf(exchange: Exchange): Question | undefined {
  const { bearer, resource } = exchange;
  if (bearer === undefined || resource === undefined) return undefined;
  return {
    mandate: bearer.mandate,
    zoneId: resource.zoneId,
    resource: resource.identifier,
    method: exchange.call.method,
    path: exchange.policyPath,
    argumentsDigest: argumentsDigestOf(exchange),
    approval: exchange.approval,
    proven: exchange.proven,
    requestId: exchange.call.requestId,
    traceparent: exchange.trace.traceparent,
  };
}

/** Policy decides on the path; what an approval is bound to includes the query, whose values stay here. */
function argumentsDigestOf({ route }: Exchange): string {
  const query = route?.target.query ?? '';
  // Without its question mark; a lone one is still another request than none.
  return query === '' ? '' : sha256Hex(query.slice(1));
}

async function ask(exchange: Exchange, deps: ForwardDeps): Promise<Answer> {
  const question = questionOf(exchange);
  if (question === undefined) throw fail('internal_error');
  const pending = deps.authorizer.ask(question);
  exchange.cancelQuestion = () => pending.cancel();
  const answer = await pending.answer;
  exchange.cancelQuestion = undefined;
  exchange.decidedBySts = true;
  return answer;
}

function refusalOf(exchange: Exchange, answer: Answer & { kind: 'refused' }): Failure {
  const { reason, description, diagnostics, requiredScopes, retryAfterMs, challenge } = answer.refusal;
  exchange.requiredScopes = requiredScopes;
  return fail(reason, {
    ...(description === '' ? {} : { description }),
    ...(diagnostics === undefined ? {} : { details: { diagnostics } }),
    ...(challenge === undefined ? {} : { details: challengeDetails(challenge) }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** In the words of the token endpoint, so that one client understands both. */
function challengeDetails({ id, type, secret, expiresAtMs }: Challenge): JsonObject {
  return {
    challenge_id: id,
    challenge_type: type,
    ...(secret === '' ? {} : { challenge_secret: secret }),
    challenge_expires_at: new Date(expiresAtMs).toISOString(),
  };
}

function keep(exchange: Exchange, deps: ForwardDeps, key: VerdictKey): void {
  const { verdict, bearer, generation } = exchange;
  if (verdict === undefined || bearer === undefined || !mayReuse(exchange) || !verdict.reusable) return;
  const validUntilMs = Math.min(
    verdict.validUntilMs,
    deps.clock.now() + longestReuseMs,
    bearer.mandate.claims.exp * 1000,
    verdict.credentialExpiresAtMs ?? Number.POSITIVE_INFINITY,
  );
  deps.verdicts.keep(key, verdict, {
    policySetVersionId: verdict.policySetVersionId,
    delegationEpoch: verdict.delegationEpoch,
    resourceVersion: verdict.resourceVersion,
    validUntilMs,
    generation,
  });
}

/** Judges the upstream's URL and builds the request's head. The address behind the name is judged when it is dialled. */
export function prepare(exchange: Exchange, deps: ForwardDeps): Failure | undefined {
  const { verdict, call, trace } = exchange;
  if (verdict === undefined) return fail('internal_error');
  const read = readUpstream(verdict.upstreamUrl, deps.hostRules, verdict.allowedHosts);
  if (read.kind === 'refused') return fail('upstream_not_allowed', { privateDetail: read.rule });
  const built = requestHeaders(
    call.rawHeaders,
    {
      requestId: call.requestId,
      traceparent: trace.traceparent,
      remoteAddress: call.remoteAddress,
      scheme: call.scheme,
      authority: call.authority,
      contentLength: call.contentLength === undefined ? undefined : String(call.contentLength),
      keepTraceState: exchange.headers.traceparent?.includes(trace.traceId) === true,
    },
    verdict.credential,
  );
  if (built.kind === 'refused') return fail('credential_not_releasable', { privateDetail: built.rule });
  exchange.upstream = read.upstream;
  exchange.outgoing = built.headers;
  return undefined;
}
