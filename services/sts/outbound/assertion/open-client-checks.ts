// Everything the authentication of clients stands on but the directory: secrets, assertions, single use, and the count of
// failures.
import { randomBytes } from 'node:crypto';
import type { RedisConnection } from '#mesh/redis';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { AssertionVerifier } from '../../ports/assertion-verifier.ts';
import type { FailureCounter, SecretVerifier } from '../../ports/secret-verifier.ts';
import type { SingleUse } from '../../ports/single-use.ts';
import { createFailureCounter } from '../argon2/failure-counter.ts';
import { createSecretVerifier } from '../argon2/secret-verifier-argon2.ts';
import { openSingleUse } from '../redis/open-single-use.ts';
import { createAssertionVerifier } from './assertion-verifier-jose.ts';

export interface ClientCheckOptions {
  /** STS_SECRET_VERIFY_CONCURRENCY: derivations at once. */
  readonly concurrency: number;
  readonly redis: RedisConnection;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Logger;
  readonly onDerivation: (seconds: number) => void;
}

export interface ClientChecks {
  readonly unknownZoneKey: Uint8Array;
  readonly failureCounter: FailureCounter;
  readonly secretVerifier: SecretVerifier;
  readonly assertionVerifier: AssertionVerifier;
  readonly singleUse: SingleUse;
}

export interface OpenClientChecks extends AsyncDisposable {
  readonly ports: ClientChecks;
}

export function openClientChecks(options: ClientCheckOptions): OpenClientChecks {
  const { concurrency, redis, clock, newId, logger } = options;
  const once = openSingleUse({ redis, clock, newId, logger });
  const secretVerifier = createSecretVerifier({
    concurrency,
    // At a tenth of a second each, a full line is a few seconds' wait: longer, and the caller has given up.
    maxWaiting: concurrency * 32,
    maxWaitingPerZone: concurrency * 8,
    onDerivation: (milliseconds) => options.onDerivation(milliseconds / 1000),
  });
  return {
    ports: {
      unknownZoneKey: randomBytes(32),
      failureCounter: createFailureCounter(() => clock.monotonic()),
      secretVerifier,
      assertionVerifier: createAssertionVerifier(),
      singleUse: once.singleUse,
    },
    [Symbol.asyncDispose]: async () => once[Symbol.asyncDispose](),
  };
}
