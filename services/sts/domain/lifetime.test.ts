import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { capSeconds, lifetimeOf } from './lifetime.ts';

const request = fc.record({
  kind: fc.constantFrom('ambient', 'per_call'),
  now: fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }),
  wanted: fc.nat(5000),
  offsets: fc.array(fc.integer({ min: -2000, max: 4_000_000 })),
});

describe('the life of a mandate', () => {
  it('ends before every bound and within the cap of its class', () => {
    fc.assert(
      fc.property(request, ({ kind, now, wanted, offsets }) => {
        const boundsMs = offsets.map((offset) => now + offset);
        const verdict = lifetimeOf({ use: kind, requestedSeconds: wanted, nowMs: now, boundsMs });
        if (verdict.kind === 'above_cap') {
          expect(wanted).toBeGreaterThan(capSeconds[kind]);
          return;
        }
        if (verdict.kind === 'nothing_left') {
          expect(Math.min(...boundsMs)).toBeLessThan(now + 1000);
          return;
        }
        expect(verdict.expiresAt).toBeGreaterThan(verdict.issuedAt);
        expect(verdict.issuedAt * 1000).toBeLessThanOrEqual(now);
        expect(verdict.expiresAt - verdict.issuedAt).toBeLessThanOrEqual(Math.min(capSeconds[kind], wanted || 900));
        for (const bound of boundsMs) expect(verdict.expiresAt * 1000).toBeLessThanOrEqual(bound);
      }),
    );
  });

  it('defaults to a quarter of an hour, zero included, and is refused above its class’s cap', () => {
    const at = { nowMs: 1_800_000_000_000, boundsMs: [] };
    for (const requestedSeconds of [undefined, 0]) {
      expect(lifetimeOf({ use: 'ambient', requestedSeconds, ...at })).toMatchObject({ expiresAt: 1_800_000_900 });
    }
    expect(lifetimeOf({ use: 'per_call', requestedSeconds: 901, ...at })).toEqual({
      kind: 'above_cap',
      capSeconds: 900,
    });
    expect(lifetimeOf({ use: 'ambient', requestedSeconds: 3601, ...at })).toEqual({
      kind: 'above_cap',
      capSeconds: 3600,
    });
  });
});
