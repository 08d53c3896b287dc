import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPublished, maySign, signingKeyOf } from './zone-key.ts';
import type { KeyWindow } from './zone-key.ts';

const tailMs = 3_660_000;

/** Keys whose windows follow each other, newest first, as rotations make them. */
const rotations = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 8 }).map((gaps) => {
  const starts = gaps.map((_, at) => gaps.slice(0, at).reduce((sum, gap) => sum + gap, 0));
  return starts
    .map((signsFromMs, at): KeyWindow & { version: number } => {
      const signsUntilMs = starts[at + 1];
      return {
        version: at,
        signsFromMs,
        signsUntilMs,
        retiresAtMs: signsUntilMs === undefined ? undefined : signsUntilMs + tailMs,
      };
    })
    .toReversed();
});

describe('a zone key', () => {
  it('signs in its window alone, and some key always signs', () => {
    fc.assert(
      fc.property(rotations, fc.integer({ min: 0, max: 10_000_000 }), (keys, nowMs) => {
        const key = signingKeyOf(keys, nowMs);
        expect(key && key.signsFromMs <= nowMs && (key.signsUntilMs ?? Infinity) > nowMs).toBe(true);
        expect(key && maySign(key, nowMs) && isPublished(key, nowMs)).toBe(true);
      }),
    );
  });

  it('does not sign before it was published long enough', () => {
    const keys: KeyWindow[] = [
      { signsFromMs: 900_000, signsUntilMs: undefined, retiresAtMs: undefined },
      { signsFromMs: 0, signsUntilMs: 900_000, retiresAtMs: 900_000 + tailMs },
    ];
    expect(signingKeyOf(keys, 899_999)).toBe(keys[1]);
    expect(signingKeyOf(keys, 900_000)).toBe(keys[0]);
    expect(keys.every((key) => isPublished(key, 0))).toBe(true);
    expect(maySign(keys[0] as KeyWindow, 894_999)).toBe(false);
  });

  it('signs no longer than the leeway after its window, and never once it is retired', () => {
    const key: KeyWindow = { signsFromMs: 0, signsUntilMs: 60_000, retiresAtMs: 62_000 };
    expect([maySign(key, 61_999), maySign(key, 62_000)]).toEqual([true, false]);
    const kept: KeyWindow = { ...key, retiresAtMs: 60_000 + tailMs };
    expect([maySign(kept, 64_999), maySign(kept, 65_000)]).toEqual([true, false]);
    expect(signingKeyOf([kept], 60_000)).toBeUndefined();
  });

  it('that was retired before it ever signed signs nothing', () => {
    const key: KeyWindow = { signsFromMs: 1000, signsUntilMs: 1000, retiresAtMs: 1000 };
    expect([signingKeyOf([key], 999), signingKeyOf([key], 1000), maySign(key, 1000)]).toEqual([
      undefined,
      undefined,
      false,
    ]);
  });

  it('of a new zone signs at once by a clock that is a little behind, and not by one that is far off', () => {
    const key: KeyWindow = { signsFromMs: 10_000, signsUntilMs: undefined, retiresAtMs: undefined };
    expect([signingKeyOf([key], 5_000), signingKeyOf([key], 4_999)]).toEqual([key, undefined]);
  });
});
