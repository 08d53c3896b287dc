// Tells a verifier outside the installation what is revoked in its zone: a snapshot, then each anchor as it is applied here,
// with a heartbeat each second that says how far that is. Verifiers never read a store of ours.
import { asFailure, fail } from '#mesh/failure';
import type { ProvenKey } from '#mesh/authority';
import type { VerifiedMandate } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import { refuseMandate } from '../domain/audience.ts';
import type { WatchPlaces } from '../domain/watch-places.ts';
import type { Evidence } from '../ports/evidence.ts';
import type { MandateReader } from '../ports/mandate-issuing.ts';
import type { FedAnchor, RevocationFeed } from '../ports/revocation-feed.ts';
import { decisionEvent } from './evidence.ts';
import type { Asked } from './evidence.ts';

export interface WatchDeps {
  readonly issuer: string;
  readonly clock: Clock;
  readonly revocations: RevocationFeed;
  readonly mandateReader: Pick<MandateReader, 'anchorsOf'>;
  readonly evidence: Evidence;
  readonly watchPlaces: WatchPlaces;
}

export interface WatchRequest {
  readonly asked: Asked;
  readonly zoneId: string;
  readonly mandate: VerifiedMandate;
  readonly proven: ProvenKey | undefined;
  /** Aborted when the watcher is gone, or this process drains. */
  readonly signal: AbortSignal;
  /** Ends the call at once, for a watcher that does not read. */
  readonly abandon: () => void;
}

export type WatchFrame =
  | {
      readonly kind: 'snapshot';
      readonly head: number;
      readonly anchors: readonly FedAnchor[];
      readonly complete: boolean;
    }
  | { readonly kind: 'revocations'; readonly head: number; readonly anchors: readonly FedAnchor[] }
  | { readonly kind: 'heartbeat'; readonly head: number; readonly fresh: boolean };

/** At some 60 bytes each a message stays far below 1 MiB. */
const anchorsPerFrame = 1000;
/** What may wait for a watcher: more than the largest cascade ends at once (100,000); beyond it, it starts again. */
const maxWaiting = 131_072;
/** authority.md: at least each second. */
const heartbeatMs = 1000;
/** A frame that was not taken for this long: the watcher does not read. */
const stalledMs = 15_000;
const wrongToken = 'invalid_token';

/** What was applied and not sent yet, of one watcher. */
class Waiting {
  #anchors: FedAnchor[] = [];
  #wake: (() => void) | undefined;
  overflowed = false;

  push(anchor: FedAnchor): void {
    if (this.#anchors.length >= maxWaiting) this.overflowed = true;
    else this.#anchors.push(anchor);
    this.#wake?.();
  }

  take(): readonly FedAnchor[] {
    const taken = this.#anchors.slice(0, anchorsPerFrame);
    this.#anchors = this.#anchors.slice(anchorsPerFrame);
    return taken;
  }

  get isEmpty(): boolean {
    return this.#anchors.length === 0;
  }

  /** Resolves when something waits, or after `milliseconds`, or when the signal aborts. */
  async wait(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
    if (!this.isEmpty || this.overflowed || signal.aborted) return;
    const enough = new AbortController();
    const slept = clock.sleep(milliseconds, AbortSignal.any([signal, enough.signal])).catch(() => undefined);
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([slept, woken]);
    this.#wake = undefined;
    enough.abort();
  }
}

function admit(deps: WatchDeps, { zoneId, mandate, proven }: WatchRequest): void {
  const { claims } = mandate;
  const refusal = refuseMandate(claims, { at: 'watch_revocations', issuer: deps.issuer, zoneId, proven });
  if (refusal !== undefined) throw fail(wrongToken, { privateDetail: refusal });
  deps.revocations.assertUsable();
  if (deps.revocations.refuses(zoneId, claims.rev, deps.mandateReader.anchorsOf(mandate))) throw fail('token_revoked');
}

/** Takes a place, or leaves evidence of the refusal under the zone the mandate has proven. */
async function enter(deps: WatchDeps, request: WatchRequest): Promise<() => void> {
  try {
    admit(deps, request);
    const leave = deps.watchPlaces.enter(request.zoneId);
    if (!leave) throw fail('rate_limited', { retryAfterMs: heartbeatMs, privateDetail: 'too_many_watchers' });
    return leave;
  } catch (error) {
    const failure = asFailure(error);
    const { claims } = request.mandate;
    const facts = { application_id: claims.client_id, jti: claims.jti, asked_zone_id: request.zoneId };
    await deps.evidence.emit(
      decisionEvent({
        ...{ eventType: 'revocation.watch', asked: request.asked, zoneId: claims.zone_id, recordInputs: false },
        ...{ failure, facts },
      }),
    );
    throw failure;
  }
}

/** One watcher, from its snapshot on. */
class Watch {
  readonly #deps: WatchDeps;
  readonly #request: WatchRequest;
  readonly #waiting = new Waiting();
  readonly #stop = new AbortController();
  #head = 0;
  #isEnding = false;
  #sentAtMs: number;
  /** Since when a frame has been offered that was not taken. */
  #offeredAtMs: number | undefined;

  constructor(deps: WatchDeps, request: WatchRequest) {
    this.#deps = deps;
    this.#request = request;
    this.#sentAtMs = deps.clock.monotonic();
  }

  async *frames(): AsyncGenerator<WatchFrame> {
    const { revocations } = this.#deps;
    const { zoneId, signal } = this.#request;
    const stopListening = revocations.onAnchor((anchor) => {
      if (anchor.zoneId === zoneId) this.#waiting.push(anchor);
    });
    void this.#guard();
    try {
      for (const frame of this.#snapshot()) yield* this.#offer(frame);
      while (!signal.aborted && !this.#hasExpired()) {
        const frame = this.#next();
        if (frame) yield* this.#offer(frame);
        else await this.#waiting.wait(this.#deps.clock, this.#untilNextMs(), signal);
      }
    } finally {
      this.#stop.abort();
      stopListening();
    }
  }

  /** In one turn with the subscription, so that nothing falls between. */
  *#snapshot(): Generator<WatchFrame> {
    const { revocations } = this.#deps;
    const anchors = revocations.anchorsOf(this.#request.zoneId);
    const head = revocations.applied();
    this.#head = head;
    let from = 0;
    do {
      const part = anchors.slice(from, from + anchorsPerFrame);
      from += anchorsPerFrame;
      yield { kind: 'snapshot', head, anchors: part, complete: from >= anchors.length };
    } while (from < anchors.length);
  }

  *#offer(frame: WatchFrame): Generator<WatchFrame> {
    const { clock } = this.#deps;
    this.#offeredAtMs = clock.monotonic();
    try {
      yield frame;
    } catch {
      // What is thrown in here is the writer's: the watcher is gone, or was cut.
      throw fail('revocation_stale', { privateDetail: 'watcher_gone' });
    }
    this.#offeredAtMs = undefined;
    this.#sentAtMs = clock.monotonic();
  }

  /** What is to be said now. Throws when the watcher has lost the thread, or its own mandate was revoked. */
  #next(): WatchFrame | undefined {
    const { revocations, clock } = this.#deps;
    if (this.#waiting.overflowed) throw fail('revocation_stale', { privateDetail: 'watcher_too_slow' });
    this.#endRevoked();
    const anchors = this.#waiting.take();
    const head = revocations.applied();
    // Numbers of another incarnation compare with nothing: the watcher starts again from a snapshot.
    if (head < this.#head) throw fail('revocation_stale', { privateDetail: 'revocation_restarted' });
    if (anchors.length > 0) {
      if (this.#waiting.isEmpty) this.#head = head;
      return { kind: 'revocations', head: this.#head, anchors };
    }
    if (clock.monotonic() - this.#sentAtMs < heartbeatMs) return undefined;
    this.#head = head;
    return { kind: 'heartbeat', head, fresh: revocations.isFresh() && revocations.mayServe() };
  }

  /** A watcher whose mandate was revoked is told what waits for it now, its own anchor most likely, and no more. */
  #endRevoked(): void {
    const { revocations, mandateReader } = this.#deps;
    const { mandate, zoneId } = this.#request;
    if (!revocations.refuses(zoneId, mandate.claims.rev, mandateReader.anchorsOf(mandate))) return;
    if (this.#isEnding || this.#waiting.isEmpty) throw fail('token_revoked');
    this.#isEnding = true;
  }

  #hasExpired(): boolean {
    return this.#deps.clock.now() >= this.#request.mandate.claims.exp * 1000;
  }

  #untilNextMs(): number {
    const { clock } = this.#deps;
    const untilExpiryMs = this.#request.mandate.claims.exp * 1000 - clock.now();
    const untilHeartbeatMs = this.#sentAtMs + heartbeatMs - clock.monotonic();
    return Math.max(1, Math.min(untilExpiryMs, untilHeartbeatMs));
  }

  /** Cuts a watcher that takes no frames: while one is offered, nothing else can end the stream. */
  async #guard(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stop.signal.aborted) {
      const sinceMs = this.#offeredAtMs === undefined ? 0 : clock.monotonic() - this.#offeredAtMs;
      const isStuck = sinceMs >= stalledMs || (sinceMs >= heartbeatMs && this.#waiting.overflowed);
      if (isStuck || (sinceMs > 0 && this.#hasExpired())) {
        this.#request.abandon();
        return;
      }
      await clock.sleep(heartbeatMs, this.#stop.signal).catch(() => undefined);
    }
  }
}

/**
 * The frames for one watcher, until its mandate expires (the stream ends), is revoked (`token_revoked`) or the watcher falls
 * behind (`revocation_stale`: start again). Throws `invalid_token` for a mandate that is none for this, `rate_limited` when
 * the zone or this replica has as many watchers as it takes.
 */
export async function* watchRevocations(deps: WatchDeps, request: WatchRequest): AsyncGenerator<WatchFrame> {
  const leave = await enter(deps, request);
  try {
    yield* new Watch(deps, request).frames();
  } finally {
    leave();
  }
}
