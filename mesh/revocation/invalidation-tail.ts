// Follows an invalidation stream whose entries only say what to read anew (policy, keys, resources, delegations). On a hole
// or another incarnation nobody can say what was missed, so everything held is dropped.
import type { JsonValue } from '#mesh/failure';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { DisciplinedClock } from '#mesh/time';
import type { StreamName } from '#mesh/topology';
import { Follower, type StreamHead } from './follower.ts';
import type { OpenTail } from './open-tail.ts';
import type { Positions, StreamPosition } from './positions.ts';
import type { Heartbeat } from './stream-payload.ts';
import { createSuspensionWatch } from './suspension.ts';

export interface InvalidationTailOptions {
  readonly stream: Extract<
    StreamName,
    | 'caracal.policy.invalidate'
    | 'caracal.keys.invalidate'
    | 'caracal.resources.invalidate'
    | 'caracal.delegations.invalidate'
  >;
  readonly openTail: OpenTail;
  /** The owner's head, for the start and while Redis is away. Without it freshness ends with the heartbeats. */
  readonly head?: (() => Promise<StreamHead>) | undefined;
  /** One entry, in number order: proto3-JSON of the stream's message. What it names must be read anew from now on. */
  readonly onEntry: (payload: JsonValue, number: number) => void;
  /** Anything may have changed: drop or reload everything. What it reads is read after the call. */
  readonly onReset: () => void | Promise<void>;
  /** Told how far this stream has come (RevocationView.positions). */
  readonly positions?: Positions | undefined;
  readonly clock: DisciplinedClock;
  readonly maxStalenessMs?: number | undefined;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly metrics?: Metrics | undefined;
}

export interface InvalidationTail extends AsyncDisposable {
  /** Begins to follow; onReset is called once the first head is known. Does not wait for it. */
  start(): void;
  applied(): number;
  /** True while everything that changed up to the staleness limit ago has been handed on. */
  isFresh(): boolean;
}

const MAX_STALENESS_MS = 5_000;
const TICK_MS = 100;

class StreamFollower implements InvalidationTail {
  readonly #options: InvalidationTailOptions;
  readonly #follower: Follower;
  readonly #wasSuspended: () => boolean;
  readonly #stop = new AbortController();
  #tail: AsyncDisposable | undefined;
  #running: Promise<void> | undefined;

  constructor(options: InvalidationTailOptions) {
    this.#options = options;
    const { stream, clock, logger, metrics, maxStalenessMs = MAX_STALENESS_MS } = options;
    this.#wasSuspended = createSuspensionWatch(clock);
    this.#follower = new Follower({
      stream,
      apply: ({ payload, number }) => {
        if (payload === undefined) return false;
        options.onEntry(payload, number);
        return true;
      },
      recover: (held, beat) => this.#recover(held, beat),
      onApplied: () => options.positions?.grown(stream),
      maxStalenessMs,
      clock,
      logger,
      metrics,
    });
    options.positions?.follow(stream, () => this.#position());
  }

  #position(): StreamPosition | undefined {
    const { incarnation, applied } = this.#follower;
    return incarnation === undefined ? undefined : { incarnation, applied };
  }

  start(): void {
    this.#tail ??= this.#options.openTail(this.#options.stream, {
      onEntry: (entry, read) => this.#follower.accept(entry, read),
      onTurn: () => this.#look(),
      onForgotten: () => this.#follower.distrust(),
    });
    this.#running ??= this.#lookForEver();
  }

  // The head before the reset: everything up to it is in what is read after.
  async #recover(
    held: { readonly incarnation: string; readonly applied: number } | undefined,
    beat: Heartbeat | undefined,
  ): Promise<StreamHead> {
    const head = await this.#readHead(beat);
    const isUnchanged = held?.incarnation === head.incarnation && held.applied >= head.head;
    if (!isUnchanged) await this.#options.onReset();
    return head;
  }

  async #readHead(beat: Heartbeat | undefined): Promise<StreamHead> {
    const { head, clock, stream, maxStalenessMs = MAX_STALENESS_MS } = this.#options;
    if (head === undefined) {
      const isRecent = beat !== undefined && clock.now() - beat.databaseTimeMs < maxStalenessMs;
      if (!isRecent) throw new Error(`no heartbeat of ${stream}`);
      return beat;
    }
    const issuedAt = clock.monotonic();
    const read = await head();
    clock.observe(read.databaseTimeMs, issuedAt);
    return read;
  }

  #look(): void {
    if (this.#wasSuspended()) this.#follower.distrust();
    // Whoever asks isFresh hears of it; the next look tries again.
    void this.#follower.look().catch(() => undefined);
  }

  async #lookForEver(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#look();
      await this.#options.clock.sleep(TICK_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  applied(): number {
    return this.#follower.applied;
  }

  isFresh(): boolean {
    return this.#follower.isFresh;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#tail?.[Symbol.asyncDispose]();
    await this.#running;
    await this.#follower.settled();
  }
}

export function createInvalidationTail(options: InvalidationTailOptions): InvalidationTail {
  return new StreamFollower(options);
}
