// What may be shown once, for the whole STS: one store, and one watch over whether Redis still remembers.
import { createMemoryWatch, createReplayStore } from '#mesh/redis';
import type { RedisConnection } from '#mesh/redis';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { SingleUse } from '../../ports/single-use.ts';

export interface SingleUseOptions {
  /** Database 0, beside the streams. */
  readonly redis: RedisConnection;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Logger;
}

export interface OpenSingleUse extends AsyncDisposable {
  readonly singleUse: SingleUse;
}

export function openSingleUse({ redis, clock, newId, logger }: SingleUseOptions): OpenSingleUse {
  const memory = createMemoryWatch({ redis, clock, newId, logger });
  memory.start();
  return {
    singleUse: createReplayStore({ redis, memory }),
    [Symbol.asyncDispose]: async () => memory[Symbol.asyncDispose](),
  };
}
