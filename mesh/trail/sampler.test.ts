// A flood of refusals becomes ten events a second and an honest number.
import { ManualClock } from '#mesh/time';
import { expect, it } from 'vitest';
import { createRefusalSampler } from './index.ts';

it('admits ten a second for each source and carries what it left out', async () => {
  const clock = new ManualClock();
  const sampler = createRefusalSampler({ clock });
  const burst = Array.from({ length: 25 }, () => sampler.admit('192.0.2.1'));
  expect(burst.filter((sample) => sample !== undefined)).toEqual(Array.from({ length: 10 }, () => ({ suppressed: 0 })));
  expect(sampler.admit('192.0.2.2')).toEqual({ suppressed: 0 });
  await clock.advance(1_000);
  expect(sampler.admit('192.0.2.1')).toEqual({ suppressed: 15 });
  expect(sampler.admit('192.0.2.1')).toEqual({ suppressed: 0 });
});

it('remembers a bounded number of sources', () => {
  const sampler = createRefusalSampler({ clock: new ManualClock(), perSecond: 1, maxSources: 2 });
  for (const source of ['a', 'b', 'c']) expect(sampler.admit(source)).toBeDefined();
  expect(sampler.admit('a')).toBeDefined();
});
