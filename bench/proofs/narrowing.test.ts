import { expect, it } from 'vitest';
import { narrowingProof } from './narrowing.ts';

it('no random path or request carries more than what is above it, and both verdicts are met', async () => {
  const place = { folder: '', logFolder: '', environment: {} };
  const report = await narrowingProof.run({ size: 5, seed: 1, place, say: () => undefined });
  expect(report.problems).toEqual([]);
  for (const kind of ['valid', 'refused', 'granted', 'denied']) expect(report.facts[kind]).toBeGreaterThan(500);
});
