// Takes bearers at the Coordinator: mandates, and proofs made for its own address, each spent once in Redis.
import {
  createBearerVerifier,
  createDpopChecker,
  createServiceNonces,
  type MandateVerifier,
  type VerifyPresented,
} from '#mesh/mandate';
import { createMemoryWatch, createReplayStore, type RedisConnection } from '#mesh/redis';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';

export interface PossessionOptions {
  /** COORDINATOR_PUBLIC_URL; without it no proof can be right, so bound mandates are refused. */
  readonly coordinatorPublicUrl?: string | undefined;
  /** The STS holds it too, and looks at the same nonces when it mints for a caller. */
  readonly auditHmacKey: Uint8Array;
  readonly auditHmacKeyPrevious?: Uint8Array | undefined;
  readonly verifier: MandateVerifier;
  readonly redis: RedisConnection;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Logger;
}

export interface OpenPossession extends AsyncDisposable {
  readonly verifyPresented: VerifyPresented;
  readonly proofNonce: () => string;
}

export function openPossession(options: PossessionOptions): OpenPossession {
  const { coordinatorPublicUrl, verifier, redis, clock, newId, logger } = options;
  const memory = createMemoryWatch({ redis, clock, newId, logger });
  memory.start();
  const keys = { current: options.auditHmacKey, previous: options.auditHmacKeyPrevious };
  const proofs = createDpopChecker({
    place: 'resource',
    publicUrls: coordinatorPublicUrl === undefined ? [] : [coordinatorPublicUrl],
    nonces: createServiceNonces('coordinator', keys, clock),
    clock,
  });
  const marks = createReplayStore({ redis, memory });
  return {
    verifyPresented: createBearerVerifier({ verifier, proofs, marks }),
    proofNonce: () => proofs.nonce(),
    [Symbol.asyncDispose]: async () => memory[Symbol.asyncDispose](),
  };
}
