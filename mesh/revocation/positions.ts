// How far this process has come in each invalidation stream, gathered in one place, so that its renewals can say it and
// whoever changed something can learn when every replica knows.
import type { StreamName } from '#mesh/topology';

/** Everything up to `applied` has been acted on; numbers of another incarnation compare with nothing. */
export interface StreamPosition {
  readonly incarnation: string;
  readonly applied: number;
}

export type StreamPositions = Readonly<Record<string, StreamPosition>>;

/** People and calls wait for these; the others change all day long and are told with the next renewal. */
const waitedFor: ReadonlySet<StreamName> = new Set(['caracal.policy.invalidate', 'caracal.keys.invalidate']);

export class Positions {
  readonly #reads = new Map<StreamName, () => StreamPosition | undefined>();
  readonly #listeners = new Set<() => void>();

  /** From now on the stream's position is part of what is told. */
  follow(stream: StreamName, read: () => StreamPosition | undefined): void {
    this.#reads.set(stream, read);
  }

  /** The stream's position grew, in this turn or at once after it. */
  grown(stream: StreamName): void {
    if (!waitedFor.has(stream)) return;
    for (const listener of this.#listeners) listener();
  }

  onGrown(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Streams of which nothing is known yet are absent. */
  all(): StreamPositions {
    const known: Record<string, StreamPosition> = {};
    for (const [stream, read] of this.#reads) {
      const position = read();
      if (position !== undefined) known[stream] = position;
    }
    return known;
  }
}
