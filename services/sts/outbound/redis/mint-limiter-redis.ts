// MintLimiter on the installation's rate limits (Redis db1), one call per mint.
import { asFailure } from '#mesh/failure';
import type { RateLimiter } from '#mesh/redis';
import type { MintLimiter } from '../../ports/mint-limiter.ts';

export interface MintLimiterOptions {
  readonly limiter: RateLimiter;
  /** STS_MINT_RATE_LIMIT_PER_MIN. */
  readonly perMinute: number;
  /** In dev mints go on uncounted while Redis is away; published modes refuse. */
  readonly serveUncounted: boolean;
}

export function createMintLimiter(options: MintLimiterOptions): MintLimiter {
  return {
    async take(zoneId, resourceId, applicationId) {
      const key = `mint:${zoneId}:${resourceId}:${applicationId}`;
      try {
        return await options.limiter.take({ key, limit: options.perMinute, windowSeconds: 60 });
      } catch (error) {
        if (options.serveUncounted && asFailure(error).reason === 'limiter_unavailable') {
          return { allowed: true, retryAfterMs: 0 };
        }
        throw error;
      }
    },
  };
}
