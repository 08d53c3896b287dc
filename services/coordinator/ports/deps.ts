// What every flow of the Coordinator may use.
import type { IdSource } from '#mesh/ids';
import type { Clock } from '#mesh/time';
import type { Logger } from '#mesh/telemetry';
import type { RevocationBarrier } from '#mesh/revocation';
import type { SessionGraph } from './session-graph.ts';
import type { SessionMinter } from './session-minter.ts';

export interface CoordinatorLimits {
  readonly maxDepth: number;
  readonly maxChildren: number;
  readonly maxPerZone: number;
  readonly maxPerApplication: number;
  readonly defaultTtlSeconds: number;
}

export interface CoordinatorDeps {
  readonly graph: SessionGraph;
  readonly minter: SessionMinter;
  readonly barrier: RevocationBarrier;
  readonly clock: Clock;
  readonly newId: IdSource;
  readonly limits: CoordinatorLimits;
  readonly logger: Logger;
}

/** Facts of the call that every flow carries into log and ledger. */
export interface CallFacts {
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly traceparent: string | undefined;
}
