// Ranges behave like the plain set they stand for.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NumberRanges } from './number-ranges.ts';

const span = fc.tuple(fc.nat(30), fc.nat(8)).map(([from, length]) => ({ from, to: from + length }));
const step = fc.record({ kind: fc.constantFrom('add', 'remove', 'through'), span });

it('holds after any adding and removing exactly what a set would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const ranges = new NumberRanges();
      const model = new Set<number>();
      for (const {
        kind,
        span: { from, to },
      } of steps) {
        const first = kind === 'through' ? 0 : from;
        for (let number = first; number <= to; number += 1) {
          if (kind === 'add') model.add(number);
          else model.delete(number);
        }
        if (kind === 'add') ranges.add(from, to);
        else if (kind === 'remove') ranges.remove(from, to);
        else ranges.remove(0, to);
      }
      expect(ranges.size).toBe(model.size);
      expect(ranges.isEmpty).toBe(model.size === 0);
      for (let number = 0; number < 40; number += 1) expect(ranges.has(number)).toBe(model.has(number));
      for (const [index, { from, to }] of ranges.ranges.entries()) {
        expect(from).toBeLessThanOrEqual(to);
        expect(from).toBeGreaterThan((ranges.ranges[index - 1]?.to ?? -2) + 1);
      }
    }),
  );
});
