// One governed call on its way through the stages: what came in, what has been established about it so far, and what
// the stages need around them. Stages add to it in their order and never take back.
import type { Failure } from '#mesh/failure';
import type { AnchorRef, MandateClaims, MandatePlace, MandateRefusal, VerifiedMandate } from '#mesh/mandate';
import type { TraceContext } from '#mesh/telemetry';
import type { RefusalSampler } from '#mesh/trail';
import type { Clock } from '#mesh/time';
import type { ProvenKey } from '#mesh/authority';
import type { AuthorizationScheme, DecidingHeaders } from '../../domain/bearer.ts';
import type { Resource, Route } from '../../domain/routing.ts';
import type { HostRules, Upstream } from '../../domain/upstream-url.ts';
import type { VerdictMemory } from '../../domain/verdict-memory.ts';
import type { Allowed, Authorizer, PresentedApproval } from '../../ports/authorizer.ts';
import type { Evidence } from '../../ports/evidence.ts';
import type { IncomingCall, ResponseSink } from '../../ports/incoming-call.ts';
import type { CheckedProof, ProofChecker } from '../../ports/proof-checker.ts';
import type { ResourceCatalogue } from '../../ports/resource-catalogue.ts';
import type { Revocations } from '../../ports/revocations.ts';
import type { RateLimiter, ReplayStore } from '../../ports/single-use.ts';
import type { UpstreamClient } from '../../ports/upstream-client.ts';

export interface ForwardLimits {
  /** MAX_REQUEST_BYTES. */
  readonly maxRequestBytes: number;
  /** UPSTREAM_TIMEOUT: from the last byte sent to the answer's head. */
  readonly upstreamTimeoutMs: number;
  /** STREAM_IDLE_TIMEOUT: longest silence of a body in either direction. */
  readonly streamIdleTimeoutMs: number;
  /** GATEWAY_RATE_LIMIT_PER_MIN; 0 is no limit. */
  readonly rateLimitPerMinute: number;
  /** Only in dev: a limiter that is away limits nothing. */
  readonly limiterMayFail: boolean;
}

/** What became of a call, for metrics and the log; holds no credential. */
export interface EndedCall {
  readonly requestId: string;
  readonly traceId: string;
  readonly zoneId: string | undefined;
  readonly status: number;
  readonly outcome: string;
  readonly reused: boolean;
  readonly milliseconds: number;
  /** Why it was refused; its private parts are for the log alone. */
  readonly failure: Failure | undefined;
}

export interface ForwardDeps {
  readonly clock: Clock;
  readonly issuer: string;
  /** GATEWAY_PUBLIC_URLS. */
  readonly publicUrls: readonly string[];
  readonly limits: ForwardLimits;
  readonly hostRules: HostRules;
  readonly trace: (traceparent: string | undefined) => TraceContext;
  /** The mandate when this very token was verified here before; costs a digest. */
  readonly recall: (token: string) => VerifiedMandate | undefined;
  /** Rejects with `invalid_token`, or with `sts_unavailable` when nobody can say. */
  readonly verify: (token: string) => Promise<VerifiedMandate>;
  /** The zone a token claims, unproven; undefined when it cannot be read. */
  readonly claimedZone: (token: string) => string | undefined;
  readonly refuseMandate: (claims: MandateClaims, place: MandatePlace) => MandateRefusal | undefined;
  readonly anchorsOf: (mandate: VerifiedMandate) => readonly AnchorRef[];
  readonly revocations: Revocations;
  readonly catalogue: ResourceCatalogue;
  readonly proofs: ProofChecker;
  readonly replayStore: ReplayStore;
  readonly rateLimiter: RateLimiter;
  readonly authorizer: Authorizer;
  readonly evidence: Evidence;
  readonly upstreams: UpstreamClient;
  readonly verdicts: VerdictMemory<Allowed>;
  /** Whether policy, resource and delegation changes are known to be current: without that nothing is reused. */
  readonly changesAreFresh: () => boolean;
  readonly sampler: RefusalSampler;
  readonly ended: (call: EndedCall) => void;
}

/** A mandate with what its revocation is matched by, and the scheme it was shown under. */
export interface Bearer {
  readonly mandate: VerifiedMandate;
  readonly anchors: readonly AnchorRef[];
  readonly scheme: AuthorizationScheme;
}

export class Exchange {
  readonly call: IncomingCall;
  readonly sink: ResponseSink;
  readonly headers: DecidingHeaders;
  readonly trace: TraceContext;
  /** Monotonic milliseconds. */
  readonly startedAtMs: number;
  /** Set when the caller has gone; stages stop. */
  gone = false;
  route: Route | undefined;
  policyPath = '';
  /** The path was let through only because its resource is said to allow such paths. */
  oddPath = false;
  resource: Resource | undefined;
  bearer: Bearer | undefined;
  singleUse = false;
  /** The keys that this very call has proven. */
  proven: ProvenKey = {};
  /** The proof that did, to be spent. */
  proof: CheckedProof | undefined;
  /** The approval the caller presents. */
  approval: PresentedApproval | undefined;
  /** True once the STS has answered: the decision's event is its own. */
  decidedBySts = false;
  requiredScopes: readonly string[] = [];
  verdict: Allowed | undefined;
  /** What was known of changes before the decision was asked for (VerdictMemory.generation). */
  generation = 0;
  reused = false;
  upstream: Upstream | undefined;
  outgoing: readonly string[] = [];
  /** The answer while it is open. */
  response: { cut(reason: 'caller_gone'): void } | undefined;
  /** Stops waiting for the STS. */
  cancelQuestion: (() => void) | undefined;

  constructor(
    call: IncomingCall,
    sink: ResponseSink,
    begun: { headers: DecidingHeaders; trace: TraceContext; startedAtMs: number },
  ) {
    this.call = call;
    this.sink = sink;
    this.headers = begun.headers;
    this.trace = begun.trace;
    this.startedAtMs = begun.startedAtMs;
  }

  get zoneId(): string | undefined {
    return this.bearer?.mandate.claims.zone_id;
  }
}

/** A stage lets the call go on or says why it may not. It is a promise only where it has to wait. */
export type Stage = (exchange: Exchange, deps: ForwardDeps) => Failure | undefined | Promise<Failure | undefined>;
