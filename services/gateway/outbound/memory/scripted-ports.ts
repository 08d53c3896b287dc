// Ports of the forwarding flow that do what a test tells them and remember what was asked of them.
import { Readable } from 'node:stream';
import { fail, type Failure, type FailureReason } from '#mesh/failure';
import type { AnchorRef } from '#mesh/mandate';
import type { AuditEventDraft } from '#mesh/trail';
import type { RawHeaders } from '../../domain/header-rules.ts';
import type { Resource } from '../../domain/routing.ts';
import type { Answer, Authorizer, PendingAnswer, Question } from '../../ports/authorizer.ts';
import type { Evidence } from '../../ports/evidence.ts';
import type { IncomingCall, ResponseSink } from '../../ports/incoming-call.ts';
import type { ResourceCatalogue } from '../../ports/resource-catalogue.ts';
import type { Revocations, RevokedAnchor } from '../../ports/revocations.ts';
import type { RateLimiter, ReplayStore, SingleUse } from '../../ports/single-use.ts';
import type { UpstreamCall, UpstreamClient, UpstreamEvents, UpstreamRequest } from '../../ports/upstream-client.ts';

export class MemoryEvidence implements Evidence {
  readonly events: AuditEventDraft[] = [];
  isAway = false;
  /** While set, an event is durable only when this resolves. */
  durable: Promise<void> | undefined;

  async emit(draft: AuditEventDraft): Promise<{ eventId: string }> {
    if (this.isAway) throw fail('audit_unavailable');
    await this.durable;
    this.events.push(draft);
    return { eventId: String(this.events.length) };
  }

  emitLater(draft: AuditEventDraft): void {
    this.events.push(draft);
  }
}

export class MemoryRevocations implements Revocations {
  isStale = false;
  readonly anchors: RevokedAnchor[] = [];

  assertUsable(): void {
    if (this.isStale) throw fail('revocation_stale');
  }

  refuses(zoneId: string, rev: number, references: readonly AnchorRef[]): RevokedAnchor | undefined {
    return this.anchors.find(
      (anchor) =>
        anchor.zoneId === zoneId &&
        rev < anchor.number &&
        references.some(({ kind, id }) => kind === anchor.kind && id === anchor.id),
    );
  }
}

export class MemoryReplayStore implements ReplayStore {
  readonly spent = new Set<string>();
  isAway = false;
  /** Redis' memory begins here. */
  sinceMs = 0;

  remembers(issuedAtMs: number): boolean {
    return issuedAtMs >= this.sinceMs;
  }

  async spend({ zoneId, kind, id }: SingleUse): Promise<'first' | 'replayed'> {
    if (this.isAway) throw fail('replay_store_unavailable');
    const key = `${zoneId} ${kind} ${id}`;
    const isFirst = !this.spent.has(key);
    this.spent.add(key);
    return isFirst ? 'first' : 'replayed';
  }
}

export class MemoryRateLimiter implements RateLimiter {
  isAway = false;
  left = Number.POSITIVE_INFINITY;

  async take(): Promise<{ allowed: boolean; retryAfterMs: number }> {
    if (this.isAway) throw fail('limiter_unavailable');
    this.left -= 1;
    return this.left >= 0 ? { allowed: true, retryAfterMs: 0 } : { allowed: false, retryAfterMs: 1000 };
  }
}

export class MemoryCatalogue implements ResourceCatalogue {
  readonly resources: Resource[] = [];
  /** What a refresh finds. */
  readonly unknown: Resource[] = [];

  byIdentifier(zoneId: string, identifier: string): Resource | undefined {
    return this.resources.find((resource) => resource.zoneId === zoneId && resource.identifier === identifier);
  }

  bySlugs(zoneSlug: string, resourceSlug: string): Resource | undefined {
    return this.resources.find((resource) => resource.zoneSlug === zoneSlug && resource.slug === resourceSlug);
  }

  async refreshFor(): Promise<void> {
    this.resources.push(...this.unknown.splice(0));
  }

  async changed(): Promise<void> {}

  async reload(): Promise<void> {}
}

export class ScriptedAuthorizer implements Authorizer {
  readonly questions: Question[] = [];
  cancelled = 0;
  connected = true;
  answer: (question: Question) => Answer | FailureReason | Promise<Answer | FailureReason>;

  constructor(answer: ScriptedAuthorizer['answer']) {
    this.answer = answer;
  }

  isConnected(): boolean {
    return this.connected;
  }

  ask(question: Question): PendingAnswer {
    this.questions.push(question);
    const cancelled = Promise.withResolvers<never>();
    const answered = Promise.resolve(this.answer(question)).then((answer) => {
      if (typeof answer === 'string') throw fail(answer);
      return answer;
    });
    return {
      answer: Promise.race([answered, cancelled.promise]),
      cancel: () => {
        this.cancelled += 1;
        cancelled.reject(fail('sts_unavailable'));
      },
    };
  }
}

/** An upstream that has a connection at once and says nothing of itself. */
export class ScriptedUpstreams implements UpstreamClient {
  /** Requests whose first byte was written. */
  readonly sent: UpstreamRequest[] = [];
  aborted = 0;
  events: UpstreamEvents | undefined;
  /** Runs when the connection is ready, before the first byte. */
  beforeStart: () => void = () => undefined;

  send(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall {
    this.events = events;
    this.beforeStart();
    if (events.mayStart()) this.sent.push(request);
    return { resume: () => undefined, abort: () => void (this.aborted += 1) };
  }
}

export interface MemoryCallOptions {
  readonly headers?: RawHeaders;
  readonly method?: string;
  readonly target?: string;
  readonly body?: string;
  /** Thumbprint of the connection's client certificate. */
  readonly certificate?: string;
}

export class MemoryCall implements IncomingCall {
  readonly requestId = 'request-1';
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: RawHeaders;
  readonly remoteAddress = '192.0.2.1';
  readonly certificateThumbprint: string | undefined;
  readonly scheme = 'https';
  readonly authority = 'gateway.test';
  readonly contentLength: number | undefined;
  readonly #body: string | undefined;
  waitsForCaller = false;

  constructor({ headers = [], method = 'GET', target = '/', body, certificate }: MemoryCallOptions) {
    this.certificateThumbprint = certificate;
    this.rawHeaders = headers;
    this.method = method;
    this.target = target;
    this.#body = body;
    this.contentLength = body?.length;
  }

  openBody(): Readable | undefined {
    return this.#body === undefined ? undefined : Readable.from([this.#body]);
  }

  awaitsCaller(): boolean {
    return this.waitsForCaller;
  }

  bodyBytes(): number {
    return 0;
  }
}

export class MemorySink implements ResponseSink {
  status: number | undefined;
  headers: RawHeaders = [];
  body = '';
  trailers: RawHeaders = [];
  ended: 'open' | 'whole' | 'cut' | 'refused' = 'open';
  failure: Failure | undefined;
  readsSlowly = false;
  #gone: () => void = () => undefined;
  #drain: () => void = () => undefined;

  start(status: number, headers: RawHeaders): void {
    this.status = status;
    this.headers = headers;
  }

  write(chunk: Uint8Array): boolean {
    this.body += Buffer.from(chunk).toString();
    return !this.readsSlowly;
  }

  end(trailers: RawHeaders): void {
    this.trailers = trailers;
    this.ended = 'whole';
  }

  cut(): void {
    this.ended = 'cut';
  }

  refuse(failure: Failure, headers: RawHeaders): void {
    this.failure = failure;
    this.headers = headers;
    this.ended = 'refused';
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  onGone(listener: () => void): void {
    this.#gone = listener;
  }

  leave(): void {
    this.#gone();
  }

  drain(): void {
    this.#drain();
  }
}
