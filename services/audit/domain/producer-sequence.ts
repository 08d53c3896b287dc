// Producers number their events from 1 without gaps, so that a loss is seen and not assumed away. Pure arithmetic on the
// ranges of numbers that have arrived, and on how long some have been missing.

/** Closed ranges of numbers, sorted, not touching. */
export type SequenceRanges = readonly (readonly [from: number, to: number])[];

/** A producer's process and what of it has arrived. */
export interface ProducerSequence {
  readonly producer: string;
  readonly incarnation: string;
  readonly arrived: SequenceRanges;
}

export interface SequenceGap {
  readonly producer: string;
  readonly incarnation: string;
  readonly from: number;
  readonly to: number;
}

/** The numbers that are missing below the highest that has arrived. */
export function missingRanges(arrived: SequenceRanges): SequenceRanges {
  const missing: (readonly [number, number])[] = [];
  let next = 1;
  for (const [from, to] of arrived) {
    if (from > next) missing.push([next, from - 1]);
    next = to + 1;
  }
  return missing;
}

/** When each gap was first seen, by its key; monotonic milliseconds. */
export type GapMemory = ReadonlyMap<string, number>;

const keyOf = ({ producer, incarnation, from, to }: SequenceGap): string => `${producer} ${incarnation} ${from}-${to}`;

/** A number that is missing this long will not come by itself (ledger.md, Evidence before effect). */
export const gapPatienceMs = 60_000;

/** Which gaps have been open too long, and what to remember until the next look. */
export function judgeGaps(
  sequences: readonly ProducerSequence[],
  seen: GapMemory,
  nowMs: number,
): { readonly overdue: readonly SequenceGap[]; readonly seen: GapMemory } {
  const open = sequences.flatMap(({ producer, incarnation, arrived }) =>
    missingRanges(arrived).map(([from, to]): SequenceGap => ({ producer, incarnation, from, to })),
  );
  const firstSeen = (gap: SequenceGap): number => seen.get(keyOf(gap)) ?? nowMs;
  const overdue = open.filter((gap) => nowMs - firstSeen(gap) >= gapPatienceMs);
  const waiting = open.filter((gap) => !overdue.includes(gap));
  return { overdue, seen: new Map(waiting.map((gap) => [keyOf(gap), firstSeen(gap)])) };
}
