// What an enforcement point knows of revocation: the anchors, how fresh they are, and whether this process may serve by
// them. It fails closed: what it cannot confirm it refuses.
import { fail } from '#mesh/failure';
import { mandateLifeSeconds, type AnchorRef } from '#mesh/mandate';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { DisciplinedClock } from '#mesh/time';
import { AnchorIndex, type Anchor } from './anchor.ts';
import { Follower, type Held, type StreamHead } from './follower.ts';
import { Membership, type MembershipPort } from './membership.ts';
import type { OpenTail } from './open-tail.ts';
import { Positions, type StreamPositions } from './positions.ts';
import { readAnchor } from './stream-payload.ts';
import { createSuspensionWatch } from './suspension.ts';
import { createWaker, type Waker } from './waker.ts';

/** How the owner is read. Each call has its own deadline and rejects when the database is away. */
export interface RevocationSource {
  readonly head: () => Promise<StreamHead>;
  /** Anchors with numbers above, in growing order, at most `limit`; those too old to refuse anything may be missing. */
  readonly after: (number: number, limit: number) => Promise<readonly Anchor[]>;
}

export interface RevocationViewOptions {
  readonly source: RevocationSource;
  readonly openTail: OpenTail;
  /** Absent in a process the barrier need not wait for. */
  readonly membership?: MembershipPort | undefined;
  readonly clock: DisciplinedClock;
  /** REVOCATION_MAX_STALENESS_MS. */
  readonly maxStalenessMs?: number | undefined;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly metrics?: Metrics | undefined;
}

export interface RevocationView extends AsyncDisposable {
  /** Given to the invalidation tails of this process, whose positions its renewals then tell. */
  readonly positions: Positions;
  /** Registers, reads everything and begins to follow. Resolves when the view may be used; tries until then. */
  start(): Promise<void>;
  /** What the STS signs as `rev`. */
  applied(): number;
  /** The anchor that refuses the mandate, if any does. Synchronous, for the turn in which something is released. */
  refuses(zoneId: string, rev: number, references: readonly AnchorRef[]): Anchor | undefined;
  /** Every anchor of a zone that can still refuse a mandate, for those who follow revocation through this process. */
  anchorsOf(zoneId: string): readonly Anchor[];
  /** True while stream or owner have confirmed the head within the staleness limit. */
  isFresh(): boolean;
  /** True while this process' lease as an enforcement point has not run out. */
  mayServe(): boolean;
  /** Fresh and allowed to serve; otherwise throws Failure revocation_stale. */
  assertUsable(): void;
  /** Called in the turn in which an anchor was applied. */
  onAnchor(listener: (anchor: Anchor) => void): () => void;
  /** Called once each time the view stops being usable: what is open must be cut. */
  onStale(listener: () => void): () => void;
}

const MAX_STALENESS_MS = 5_000;
const PAGE = 1_000;
// How often time alone is looked at: a tenth of the tightest bound that hangs on it.
const TICK_MS = 100;
const START_RETRY_MS = 250;
const PRUNE_INTERVAL_MS = 60_000;
// authority.md: the longest mandate cap plus 60 s.
const ANCHOR_LIFE_MS = (mandateLifeSeconds.ambient + 60) * 1_000;

class View implements RevocationView {
  readonly positions = new Positions();
  readonly #options: RevocationViewOptions;
  readonly #anchors = new AnchorIndex();
  readonly #follower: Follower;
  readonly #membership: Membership | undefined;
  readonly #wasSuspended: () => boolean;
  readonly #anchorListeners = new Set<(anchor: Anchor) => void>();
  readonly #staleListeners = new Set<() => void>();
  readonly #stop = new AbortController();
  #tail: AsyncDisposable | undefined;
  #running: Promise<unknown> | undefined;
  #wasUsable = false;
  #prunedAt = 0;
  readonly #looking: Waker;
  readonly #renewing: Waker;

  constructor(options: RevocationViewOptions) {
    this.#options = options;
    const { clock, logger, metrics, membership, maxStalenessMs = MAX_STALENESS_MS } = options;
    this.#wasSuspended = createSuspensionWatch(clock);
    this.#looking = createWaker(clock);
    this.#renewing = createWaker(clock);
    this.#follower = new Follower({
      stream: 'caracal.sessions.revoke',
      apply: (entry) => this.#applyIfRead(readAnchor(entry)),
      recover: (held) => this.#readOwner(held),
      onApplied: () => this.#renewSoon(),
      maxStalenessMs,
      clock,
      logger,
      metrics,
    });
    if (membership !== undefined) {
      const refresh = (): Promise<void> => this.#follower.recover();
      const applied = (): number => this.#follower.applied;
      const positions = (): StreamPositions => this.positions.all();
      const member = { port: membership, applied, positions, refresh };
      this.#membership = new Membership({ ...member, maxStalenessMs, clock, logger });
      this.positions.onGrown(() => this.#renewSoon());
    }
    metrics?.gauge({ name: 'revocation_anchors', help: 'Anchors in memory.', read: () => this.#anchors.size });
    metrics?.gauge({ name: 'revocation_applied', help: 'Highest number applied.', read: () => this.applied() });
    metrics?.gauge({
      name: 'revocation_age_seconds',
      help: 'Since the newest confirmation was asked for.',
      read: () => this.#follower.ageMs / 1_000,
    });
  }

  async start(): Promise<void> {
    // The row before the first snapshot: a barrier passed before it needs nothing of this process.
    await this.#retried(async () => await this.#membership?.register());
    if (this.#stop.signal.aborted) return;
    this.#tail = this.#options.openTail('caracal.sessions.revoke', {
      onEntry: (entry, read) => this.#follower.accept(entry, read),
      onTurn: () => this.#looking.wake(),
      onForgotten: () => this.#follower.distrust(),
    });
    await this.#retried(() => this.#follower.recover());
    await this.#retried(async () => {
      await this.#membership?.look();
      if (!this.mayServe()) throw new Error('not renewed yet');
    });
    this.#wasUsable = this.#isUsable();
    this.#running = Promise.all([this.#lookForEver(), this.#renewForEver()]);
  }

  #renewSoon(): void {
    this.#membership?.hurry();
    this.#renewing.wake();
  }

  async #retried(work: () => Promise<unknown>): Promise<void> {
    const { clock, logger } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await work();
        return;
      } catch (error) {
        logger.warn({ error }, 'revocation view cannot start yet');
        await clock.sleep(START_RETRY_MS, this.#stop.signal).catch(() => undefined);
      }
    }
  }

  async #lookForEver(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#looking.rest(TICK_MS);
      this.#noticeSuspension();
      this.#noticeStale();
      this.#prune();
      // Not awaited: a database that hangs must not keep time from being looked at.
      void this.#follower.look().catch((error: unknown) => {
        this.#options.logger.warn({ error }, 'revocations could not be read from their owner');
      });
    }
  }

  async #renewForEver(): Promise<void> {
    if (this.#membership === undefined) return;
    while (!this.#stop.signal.aborted) {
      await this.#membership.look();
      await this.#renewing.rest(this.#membership.dueInMs);
    }
  }

  #noticeSuspension(): void {
    if (!this.#wasSuspended()) return;
    this.#options.logger.warn({}, 'clocks parted: suspended, or the wall clock was set; confirming anew');
    this.#follower.distrust();
    this.#membership?.distrust();
    this.#looking.wake();
    this.#renewing.wake();
  }

  #noticeStale(): void {
    const isUsable = this.#isUsable();
    if (this.#wasUsable && !isUsable) {
      this.#options.logger.warn({ age_ms: this.#follower.ageMs }, 'revocation state is stale');
      for (const listener of this.#staleListeners) listener();
    }
    this.#wasUsable = isUsable;
  }

  #prune(): void {
    const now = this.#options.clock.monotonic();
    if (now - this.#prunedAt < PRUNE_INTERVAL_MS) return;
    this.#prunedAt = now;
    this.#anchors.prune(this.#options.clock.now() - ANCHOR_LIFE_MS);
  }

  // The head first: whatever is committed up to it is in the pages that are read after it.
  async #readOwner(held: Held | undefined): Promise<StreamHead> {
    const { source, clock } = this.#options;
    const issuedAt = clock.monotonic();
    const head = await source.head();
    clock.observe(head.databaseTimeMs, issuedAt);
    const isSame = held?.incarnation === head.incarnation;
    // Numbers of another incarnation compare with nothing; until all are read nobody may be served by the rest.
    if (!isSame) {
      if (held !== undefined) this.#follower.distrust();
      this.#anchors.clear();
    }
    let from = isSame ? held.applied : 0;
    for (;;) {
      const page = await source.after(from, PAGE);
      for (const anchor of page) this.#applyIfRead(anchor);
      from = page.at(-1)?.number ?? from;
      if (page.length < PAGE) return head;
    }
  }

  #applyIfRead(anchor: Anchor | undefined): boolean {
    if (anchor === undefined) return false;
    this.#anchors.add(anchor);
    for (const listener of this.#anchorListeners) listener(anchor);
    return true;
  }

  #isUsable(): boolean {
    return this.isFresh() && this.mayServe();
  }

  applied(): number {
    return this.#follower.applied;
  }

  refuses(zoneId: string, rev: number, references: readonly AnchorRef[]): Anchor | undefined {
    return this.#anchors.find(zoneId, rev, references);
  }

  anchorsOf(zoneId: string): readonly Anchor[] {
    return this.#anchors.ofZone(zoneId);
  }

  isFresh(): boolean {
    return this.#follower.isFresh;
  }

  mayServe(): boolean {
    return this.#membership?.holdsLease ?? true;
  }

  assertUsable(): void {
    this.#noticeSuspension();
    if (!this.#isUsable()) throw fail('revocation_stale');
  }

  onAnchor(listener: (anchor: Anchor) => void): () => void {
    this.#anchorListeners.add(listener);
    return () => this.#anchorListeners.delete(listener);
  }

  onStale(listener: () => void): () => void {
    this.#staleListeners.add(listener);
    return () => this.#staleListeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#looking.wake();
    this.#renewing.wake();
    await this.#tail?.[Symbol.asyncDispose]();
    await this.#running;
    await this.#membership?.leave();
    await this.#follower.settled();
  }
}

export function createRevocationView(options: RevocationViewOptions): RevocationView {
  return new View(options);
}
