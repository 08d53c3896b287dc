// One call between its first upstream byte and the end of its answer. It passes the answer on as it comes, and it is
// what can be cut: by an anchor, by time, by a decision that no longer holds, by a process that may no longer serve.
import { catalogue, fail, type Failure, type FailureReason } from '#mesh/failure';
import { responseHeaders, responseTrailers, type RawHeaders } from '../../domain/header-rules.ts';
import { withQueryCredential } from '../../domain/query-credential.ts';
import { upstreamTarget, type Upstream } from '../../domain/upstream-url.ts';
import type { Allowed } from '../../ports/authorizer.ts';
import type { UpstreamCall, UpstreamEvents, UpstreamFault } from '../../ports/upstream-client.ts';
import { revocationOf } from './authenticate.ts';
import { cutEvent, outcomeEvent } from './evidence.ts';
import type { Bearer, Exchange, ForwardDeps } from './exchange.ts';
import { refusalHeaders, report, statusCallerGone } from './refuse.ts';

/** Why an answer ended before its end. */
export type CutReason =
  | 'revoked'
  | 'mandate_expired'
  | 'revocation_stale'
  | 'denied_anew'
  | 'not_decided_anew'
  | 'upstream_timeout'
  | 'upstream_idle'
  | 'upstream_unreachable'
  | 'upstream_not_allowed'
  | 'caller_idle'
  | 'caller_gone'
  | 'payload_too_large'
  | 'draining';

// What a caller is told when nothing of an answer had been sent yet.
const refusals: Readonly<Record<CutReason, FailureReason>> = {
  revoked: 'token_revoked',
  mandate_expired: 'invalid_token',
  revocation_stale: 'revocation_stale',
  denied_anew: 'access_denied',
  not_decided_anew: 'sts_unavailable',
  upstream_timeout: 'upstream_timeout',
  upstream_idle: 'upstream_timeout',
  upstream_unreachable: 'upstream_unreachable',
  upstream_not_allowed: 'upstream_not_allowed',
  caller_idle: 'request_timeout',
  caller_gone: 'request_timeout',
  payload_too_large: 'payload_too_large',
  draining: 'draining',
};

// Cuts that say something about authority; the rest are plain network life and stand in the outcome alone.
const evidentCuts: ReadonlySet<CutReason> = new Set([
  'revoked',
  'mandate_expired',
  'revocation_stale',
  'denied_anew',
  'not_decided_anew',
]);

/** All of an exchange that the stages have established by now. */
export interface Ready {
  readonly bearer: Bearer;
  readonly verdict: Allowed;
  readonly upstream: Upstream;
  readonly http2: boolean;
}

function secretsOf({ credential }: Allowed): readonly string[] {
  const { headerValue, identityMandate, query } = credential;
  return [headerValue, identityMandate, ...(query ? [query.value, encodeURIComponent(query.value)] : [])];
}

export class OpenResponse implements UpstreamEvents {
  readonly exchange: Exchange;
  readonly ready: Ready;
  /** Monotonic: when it is to be decided again, and when it ends if that has not happened. */
  decideAgainAtMs: number;
  undecidedAtMs: number;
  deciding = false;
  /** Changes heard of that concern it: an answer to an earlier question does not cover a later one. */
  changes = 0;
  readonly openedAtMs: number;
  readonly #deps: ForwardDeps;
  readonly #closed: (response: OpenResponse) => void;
  #upstreamCall: UpstreamCall | undefined;
  #upstreamStatus: number | undefined;
  #lastMoveMs: number;
  #bytesIn = 0;
  #bytesOut = 0;
  #paused = false;
  #done = false;

  constructor(
    begun: { exchange: Exchange; ready: Ready; decideAgainAtMs: number; undecidedAtMs: number },
    deps: ForwardDeps,
    closed: (response: OpenResponse) => void,
  ) {
    this.exchange = begun.exchange;
    this.ready = begun.ready;
    this.decideAgainAtMs = begun.decideAgainAtMs;
    this.undecidedAtMs = begun.undecidedAtMs;
    this.#deps = deps;
    this.#closed = closed;
    this.openedAtMs = deps.clock.monotonic();
    this.#lastMoveMs = this.openedAtMs;
  }

  get isDone(): boolean {
    return this.#done;
  }

  send(): void {
    const { exchange, ready } = this;
    const { call, sink, route } = exchange;
    sink.onDrain(() => this.#resume());
    if (exchange.gone) return this.cut('caller_gone');
    const target = route?.target ?? { path: '/', query: '' };
    const { query: credential } = ready.verdict.credential;
    const query = credential ? withQueryCredential(target.query, credential) : target.query;
    const sent = this.#deps.upstreams.send(
      {
        zoneId: ready.bearer.mandate.claims.zone_id,
        upstream: ready.upstream,
        target: upstreamTarget(ready.upstream, target.path, query),
        method: call.method,
        headers: exchange.outgoing,
        body: call.openBody(this.#deps.limits.maxRequestBytes),
        http2: ready.http2,
      },
      this,
    );
    this.#upstreamCall = sent;
    if (this.#done) sent.abort();
  }

  /** Lease, freshness and anchors once more, in the turn that writes the first byte. */
  mayStart(): boolean {
    if (this.#done) return false;
    const failure = revocationOf(this.ready.bearer, this.#deps);
    if (failure === undefined) return true;
    this.cut(failure.reason === 'token_revoked' ? 'revoked' : 'revocation_stale');
    return false;
  }

  head(status: number, headers: RawHeaders): void {
    if (this.#done) return;
    this.#move();
    this.#upstreamStatus = status;
    const { upstream, verdict } = this.ready;
    const kept = responseHeaders(headers, {
      requestId: this.exchange.call.requestId,
      origin: upstream.origin,
      basePath: upstream.basePath,
      mount: this.exchange.route?.mount ?? '',
      secrets: secretsOf(verdict),
    });
    // RFC 9449 §8.2: a caller that lives on nonces gets its next one before this one has aged.
    if (this.exchange.proof?.hasNonce === true) kept.push('dpop-nonce', this.#deps.proofs.nonce());
    this.#pass(() => this.exchange.sink.start(status, kept));
  }

  data(chunk: Uint8Array): boolean {
    if (this.#done) return true;
    this.#move();
    this.#bytesOut += chunk.length;
    this.#paused = !this.exchange.sink.write(chunk);
    return !this.#paused;
  }

  end(trailers: RawHeaders): void {
    if (this.#done) return;
    this.#pass(() => this.exchange.sink.end(responseTrailers(trailers, secretsOf(this.ready.verdict))));
    if (this.#done) return;
    this.#finish(this.#upstreamStatus ?? 0, undefined, undefined);
  }

  /** An answer that the caller's protocol cannot carry (a status above 599, a field it does not have) is broken off. */
  #pass(write: () => void): void {
    try {
      write();
    } catch {
      this.cut('upstream_unreachable', 'not writable');
    }
  }

  fault(fault: UpstreamFault): void {
    switch (fault.kind) {
      case 'not_allowed':
        return this.cut('upstream_not_allowed', fault.rule);
      case 'unreachable':
      case 'broken':
        return this.cut('upstream_unreachable', fault.kind);
      case 'body':
        return this.cut(fault.failure.reason === 'payload_too_large' ? 'payload_too_large' : 'caller_gone');
      case 'aborted':
        return undefined;
    }
  }

  /** Ends it now. What has begun is broken off visibly, what has not begun is a documented refusal. */
  cut(reason: CutReason, privateDetail?: string): void {
    if (this.#done) return;
    this.#done = true;
    this.#upstreamCall?.abort();
    const { exchange } = this;
    const failure = fail(refusals[reason], { privateDetail });
    let status = this.#upstreamStatus;
    if (status !== undefined) exchange.sink.cut();
    else {
      status = reason === 'caller_gone' ? statusCallerGone : catalogue[failure.reason].httpStatus;
      if (reason !== 'caller_gone') exchange.sink.refuse(failure, refusalHeaders(exchange, this.#deps, failure));
    }
    if (evidentCuts.has(reason)) this.#deps.evidence.emitLater(cutEvent(exchange, reason));
    this.#finish(status, reason, failure);
  }

  /** Judges the passing of time. */
  look(monotonicMs: number, nowMs: number): void {
    if (this.#done) return;
    if (this.ready.bearer.mandate.claims.exp * 1000 <= nowMs) return this.cut('mandate_expired');
    if (this.undecidedAtMs <= monotonicMs) return this.cut('not_decided_anew');
    const received = this.exchange.call.bodyBytes();
    if (received !== this.#bytesIn) {
      this.#bytesIn = received;
      this.#move();
    }
    this.#lookForSilence(monotonicMs - this.#lastMoveMs);
  }

  #lookForSilence(silentMs: number): void {
    const { streamIdleTimeoutMs, upstreamTimeoutMs } = this.#deps.limits;
    if (this.#upstreamStatus !== undefined) {
      if (silentMs >= streamIdleTimeoutMs) this.cut(this.#paused ? 'caller_idle' : 'upstream_idle');
      return;
    }
    if (this.exchange.call.awaitsCaller()) {
      if (silentMs >= streamIdleTimeoutMs) this.cut('caller_idle');
    } else if (silentMs >= upstreamTimeoutMs) this.cut('upstream_timeout');
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#move();
    this.#upstreamCall?.resume();
  }

  #move(): void {
    this.#lastMoveMs = this.#deps.clock.monotonic();
  }

  #finish(status: number, reason: CutReason | undefined, failure: Failure | undefined): void {
    this.#done = true;
    const { exchange } = this;
    this.#deps.evidence.emitLater(
      outcomeEvent(exchange, {
        status,
        upstreamStatus: this.#upstreamStatus,
        bytesIn: exchange.call.bodyBytes(),
        bytesOut: this.#bytesOut,
        milliseconds: this.#deps.clock.monotonic() - exchange.startedAtMs,
        reason,
      }),
    );
    report(exchange, this.#deps, { status, outcome: reason ?? 'passed', failure });
    this.#closed(this);
  }
}
