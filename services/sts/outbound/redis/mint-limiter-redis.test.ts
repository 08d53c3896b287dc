import { expect, it } from 'vitest';
import { fail } from '#mesh/failure';
import { createMintLimiter } from './mint-limiter-redis.ts';

const away = { take: async () => Promise.reject(fail('limiter_unavailable')) };

it('refuses to mint uncounted while Redis is away, but in dev', async () => {
  const published = createMintLimiter({ limiter: away, perMinute: 10, serveUncounted: false });
  await expect(published.take('z', 'r', 'a')).rejects.toMatchObject({ reason: 'limiter_unavailable' });
  const dev = createMintLimiter({ limiter: away, perMinute: 10, serveUncounted: true });
  expect(await dev.take('z', 'r', 'a')).toMatchObject({ allowed: true });
});

it('hides no other failure, in dev neither', async () => {
  const broken = { take: async () => Promise.reject(new Error('something else')) };
  const dev = createMintLimiter({ limiter: broken, perMinute: 10, serveUncounted: true });
  await expect(dev.take('z', 'r', 'a')).rejects.toThrow('something else');
});
