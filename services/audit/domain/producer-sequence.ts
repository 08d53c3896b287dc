// Producers number their events from 1 without gaps, so that a loss is seen and not assumed away. Pure arithmetic on the
// ranges of numbers that have arrived.

/** Closed ranges, sorted, not touching. */
export type SequenceRanges = readonly (readonly [from: number, to: number])[];

/** The ranges with more numbers in them. */
export function addNumbers(ranges: SequenceRanges, numbers: readonly number[]): SequenceRanges {
  const all = [
    ...ranges.map(([from, to]) => [from, to] as [number, number]),
    ...numbers.map((n) => [n, n] as [number, number]),
  ].toSorted((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const range of all) {
    const last = merged.at(-1);
    if (last !== undefined && range[0] <= last[1] + 1) last[1] = Math.max(last[1], range[1]);
    else merged.push([...range]);
  }
  return merged;
}

/** The highest number up to which nothing is missing; what a producer may forget. */
export function watermark(ranges: SequenceRanges): number {
  const [first] = ranges;
  return first !== undefined && first[0] === 1 ? first[1] : 0;
}

/** The numbers that are missing below the highest that has arrived. */
export function missingRanges(ranges: SequenceRanges): SequenceRanges {
  const missing: (readonly [number, number])[] = [];
  let next = 1;
  for (const [from, to] of ranges) {
    if (from > next) missing.push([next, from - 1]);
    next = to + 1;
  }
  return missing;
}
