import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { microsecondText, microsecondTextOfMs, parseMicrosecondText, parseMicrosecondTextMs } from './index.ts';

describe('the text of a moment', () => {
  test('has six digits of a second and is in UTC', () => {
    expect(microsecondText(0n)).toBe('1970-01-01T00:00:00.000000Z');
    expect(microsecondText(1_700_000_000_123_456n)).toBe('2023-11-14T22:13:20.123456Z');
    expect(microsecondText(-1n)).toBe('1969-12-31T23:59:59.999999Z');
    expect(microsecondTextOfMs(1_700_000_000_123)).toBe('2023-11-14T22:13:20.123000Z');
    expect(microsecondTextOfMs(1_700_000_000_123.456)).toBe('2023-11-14T22:13:20.123456Z');
  });

  test('reads back as the same moment and sorts as moments do', () => {
    const moment = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n });
    fc.assert(
      fc.property(moment, moment, (left, right) => {
        expect(parseMicrosecondText(microsecondText(left))).toBe(left);
        expect(microsecondText(left) < microsecondText(right)).toBe(left < right);
      }),
    );
    expect(parseMicrosecondTextMs('2023-11-14T22:13:20.123000Z')).toBe(1_700_000_000_123);
  });

  test('is the same whether a moment is given in microseconds or in milliseconds', () => {
    const ms = fc.double({ min: -62_135_596_800_000, max: 253_402_300_799_000, noNaN: true });
    fc.assert(
      fc.property(ms, (moment) => {
        expect(microsecondTextOfMs(moment)).toBe(microsecondText(BigInt(Math.floor(moment * 1000))));
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    '2023-11-14T22:13:20.123Z',
    '2023-11-14T22:13:20.1234567Z',
    '2023-11-14T22:13:20.123456+00:00',
    '2023-11-14 22:13:20.123456Z',
    '2023-02-30T00:00:00.000000Z',
    '2023-13-01T00:00:00.000000Z',
    '2023-11-14T24:00:00.000000Z',
    '',
  ])('is not %j', (text) => {
    expect(parseMicrosecondText(text)).toBeUndefined();
    expect(parseMicrosecondTextMs(text)).toBeUndefined();
  });

  test('needs a year of four digits', () => {
    expect(() => microsecondText(253_402_300_800_000_000n)).toThrow(RangeError);
  });
});
