import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gapPatienceMs, judgeGaps, missingRanges, type SequenceRanges } from './producer-sequence.ts';

const rangesOf = (numbers: readonly number[]): SequenceRanges => {
  const ranges: [number, number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
};

describe('a producer’s numbers', () => {
  it('are missing exactly where none has arrived below the highest', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 })), (numbers) => {
        const missing = missingRanges(rangesOf(numbers)).flatMap(([from, to]) =>
          Array.from({ length: to - from + 1 }, (_, at) => from + at),
        );
        const highest = Math.max(0, ...numbers);
        const all = Array.from({ length: highest }, (_, at) => at + 1);
        expect(missing).toEqual(all.filter((number) => !numbers.includes(number)));
      }),
    );
  });

  const sequence = (arrived: SequenceRanges) => [{ producer: 'sts', incarnation: 'one', arrived }];

  it('are waited for, then given up, each gap from when it was first seen', () => {
    const first = judgeGaps(
      sequence([
        [1, 3],
        [5, 9],
      ]),
      new Map(),
      0,
    );
    expect(first.overdue).toEqual([]);
    const second = judgeGaps(
      sequence([
        [1, 3],
        [5, 9],
        [12, 12],
      ]),
      first.seen,
      gapPatienceMs - 1,
    );
    expect(second.overdue).toEqual([]);
    const third = judgeGaps(
      sequence([
        [1, 3],
        [5, 9],
        [12, 12],
      ]),
      second.seen,
      gapPatienceMs,
    );
    expect(third.overdue).toEqual([{ producer: 'sts', incarnation: 'one', from: 4, to: 4 }]);
  });

  it('are forgotten as missing once they have arrived', () => {
    const first = judgeGaps(
      sequence([
        [1, 3],
        [5, 9],
      ]),
      new Map(),
      0,
    );
    const second = judgeGaps(sequence([[1, 9]]), first.seen, gapPatienceMs * 2);
    expect(second).toEqual({ overdue: [], seen: new Map() });
  });
});
