// Follows one numbered stream: applies n+1 only after n, notices holes and silence, and knows how fresh what it has applied
// is. What to do with an entry and how to read the owner are given to it.
import type { Logger, Metrics } from '#mesh/telemetry';
import type { StreamEntry, TailRead } from '#mesh/redis';
import type { DisciplinedClock } from '#mesh/time';
import type { StreamName } from '#mesh/topology';
import { isHeartbeat, readHeartbeat, readNumberedEntry, type Heartbeat, type NumberedEntry } from './stream-payload.ts';

/** What the owner says of its stream. */
export interface StreamHead {
  readonly incarnation: string;
  readonly head: number;
  /** The owner's clock when it read the head. */
  readonly databaseTimeMs: number;
}

export interface FollowerOptions {
  readonly stream: StreamName;
  /** Acts on the entry; false when it cannot be understood, which counts as a hole. */
  readonly apply: (entry: NumberedEntry) => boolean;
  /**
   * Brings what is held up to the owner's present state and returns the head it covers; the head is read before the
   * state. `held` is undefined, or of another incarnation, when everything must be read. Rejects when the owner is away.
   */
  readonly recover: (held: Held | undefined, beat: Heartbeat | undefined) => Promise<StreamHead>;
  /** Called in the turn in which the applied number grew. */
  readonly onApplied?: (number: number) => void;
  readonly maxStalenessMs: number;
  readonly clock: DisciplinedClock;
  readonly logger: Pick<Logger, 'warn'>;
  readonly metrics?: Metrics | undefined;
}

export interface Held {
  readonly incarnation: string;
  readonly applied: number;
}

// authority.md: a heartbeat's head that is ahead for so long is read from the owner.
const BEHIND_MS = 200;
// Heartbeats come each second; without one for longer the owner is asked each second.
const SILENCE_MS = 1_500;
const DIRECT_READ_INTERVAL_MS = 1_000;
const RETRY_MS = 250;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #ignored;
  #held: Held | undefined;
  #confirmedAt = Number.NEGATIVE_INFINITY;
  #newestBeat: Heartbeat | undefined;
  #lastBeatAt = Number.NEGATIVE_INFINITY;
  #lastReadAt = Number.NEGATIVE_INFINITY;
  // The head of a heartbeat that is not applied yet, when it was asked for, and since when it is ahead.
  #behind: { readonly head: number; readonly askedAt: number; readonly since: number } | undefined;
  #isHoleKnown = false;
  // Set while nothing but the owner's own word counts.
  #isDistrusted = true;
  #distrusts = 0;
  #recovering: Promise<void> | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#ignored = options.metrics?.counter({
      name: 'stream_entries_ignored_total',
      help: 'Entries of numbered streams that were not acted on, by stream and reason.',
      labels: ['stream', 'reason'],
    });
  }

  /** The highest number such that everything up to it was applied; 0 before anything was read. */
  get applied(): number {
    return this.#held?.applied ?? 0;
  }

  get incarnation(): string | undefined {
    return this.#held?.incarnation;
  }

  /** Milliseconds since the newest confirmation was asked for. */
  get ageMs(): number {
    return this.#options.clock.monotonic() - this.#confirmedAt;
  }

  get isFresh(): boolean {
    return this.ageMs < this.#options.maxStalenessMs;
  }

  /** Nothing counts any more, and nothing new does, until the owner has answered a read that begins after this call. */
  distrust(): void {
    this.#confirmedAt = Number.NEGATIVE_INFINITY;
    this.#behind = undefined;
    this.#isDistrusted = true;
    this.#distrusts += 1;
    this.#lastReadAt = Number.NEGATIVE_INFINITY;
  }

  #ignore(reason: 'malformed' | 'old_heartbeat' | 'old_number' | 'not_understood'): void {
    this.#ignored?.inc({ stream: this.#options.stream, reason });
  }

  /** An entry whose signature verified. */
  accept(entry: StreamEntry, read: TailRead): void {
    if (isHeartbeat(entry.fields)) {
      const beat = readHeartbeat(entry.fields);
      if (beat === undefined) this.#ignore('malformed');
      else this.#hear(beat, read.issuedAtMonotonicMs);
      return;
    }
    const numbered = readNumberedEntry(entry.fields);
    if (numbered === undefined) this.#ignore('malformed');
    else this.#take(numbered);
  }

  #hear(beat: Heartbeat, issuedAt: number): void {
    const { clock, maxStalenessMs } = this.#options;
    // A heartbeat shown again proves nothing.
    if (beat.databaseTimeMs <= (this.#newestBeat?.databaseTimeMs ?? Number.NEGATIVE_INFINITY)) {
      return this.#ignore('old_heartbeat');
    }
    this.#newestBeat = beat;
    // It was written before it came, perhaps long before: it shows that our time is behind, never that it is ahead.
    if (beat.databaseTimeMs > clock.now()) clock.observe(beat.databaseTimeMs, clock.monotonic());
    const ageMs = Math.max(0, clock.now() - beat.databaseTimeMs);
    if (ageMs < SILENCE_MS) this.#lastBeatAt = clock.monotonic();
    if (this.#held?.incarnation !== beat.incarnation) {
      this.#meetIncarnation();
      return;
    }
    if (beat.unpublishedMs >= maxStalenessMs) return;
    // What lay in Redis says how things were when it was written, however late it was asked for.
    const askedAt = Math.min(issuedAt, clock.monotonic() - ageMs);
    if (beat.head <= this.#held.applied) {
      this.#behind = undefined;
      this.#confirm(askedAt);
    } else {
      this.#behind = { head: beat.head, askedAt, since: this.#behind?.since ?? clock.monotonic() };
    }
  }

  // Numbering began anew: what was confirmed spoke of other numbers.
  #meetIncarnation(): void {
    this.#isHoleKnown = true;
    if (this.#held !== undefined) this.#confirmedAt = Number.NEGATIVE_INFINITY;
  }

  #take(entry: NumberedEntry): void {
    if (this.#held?.incarnation !== entry.incarnation) {
      this.#meetIncarnation();
    } else if (entry.number <= this.#held.applied) {
      this.#ignore('old_number');
    } else if (entry.number > this.#held.applied + 1) {
      this.#isHoleKnown = true;
    } else if (this.#options.apply(entry)) {
      this.#advance(this.#held.incarnation, entry.number);
    } else {
      this.#ignore('not_understood');
      this.#isHoleKnown = true;
    }
  }

  #advance(incarnation: string, number: number): void {
    const grew = this.#held === undefined || this.#held.incarnation !== incarnation || number > this.#held.applied;
    if (!grew) return;
    this.#held = { incarnation, applied: number };
    if (this.#behind !== undefined && number >= this.#behind.head) {
      this.#confirm(this.#behind.askedAt);
      this.#behind = undefined;
    }
    this.#options.onApplied?.(number);
  }

  #confirm(askedAt: number): void {
    if (!this.#isDistrusted) this.#confirmedAt = Math.max(this.#confirmedAt, askedAt);
  }

  /** Looks whether the owner must be asked, and asks. Called a few times a second and after each batch of entries. */
  async look(): Promise<void> {
    if (this.#recovering === undefined && this.#isReadDue()) await this.recover();
  }

  #isReadDue(): boolean {
    const now = this.#options.clock.monotonic();
    const sinceRead = now - this.#lastReadAt;
    if (sinceRead < RETRY_MS) return false;
    if (this.#held === undefined || this.#isHoleKnown || this.#isDistrusted) return true;
    if (this.#behind !== undefined && now - this.#behind.since >= BEHIND_MS) return true;
    return now - this.#lastBeatAt >= SILENCE_MS && sinceRead >= DIRECT_READ_INTERVAL_MS;
  }

  /** Resolves when no read of the owner is under way. */
  async settled(): Promise<void> {
    await this.#recovering?.catch(() => undefined);
  }

  /** Reads the owner now; callers share one read. Rejects when the owner is away. */
  recover(): Promise<void> {
    this.#recovering ??= this.#readOwner().finally(() => {
      this.#recovering = undefined;
    });
    return this.#recovering;
  }

  async #readOwner(): Promise<void> {
    const { recover, clock } = this.#options;
    const issuedAt = clock.monotonic();
    const distrusts = this.#distrusts;
    this.#lastReadAt = issuedAt;
    // A hole that shows while the owner is being read is asked about again.
    this.#isHoleKnown = false;
    try {
      const head = await recover(this.#held, this.#newestBeat);
      if (distrusts === this.#distrusts) this.#isDistrusted = false;
      if (this.#behind !== undefined && head.head >= this.#behind.head) this.#behind = undefined;
      if (this.#lastBeatAt === Number.NEGATIVE_INFINITY) this.#lastBeatAt = issuedAt;
      this.#advance(head.incarnation, head.head);
      // A head that came from a heartbeat is as old as that.
      this.#confirm(Math.min(issuedAt, clock.monotonic() - Math.max(0, clock.now() - head.databaseTimeMs)));
    } catch (error) {
      this.#isHoleKnown = true;
      throw error;
    }
  }
}
