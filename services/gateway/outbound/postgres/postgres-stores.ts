// The Gateway's two pools and what it reads through them.
import { createPool, type Database } from '#mesh/postgres';
import {
  createEnforcementPoint,
  createRevocationSource,
  readStreamHead,
  type MembershipPort,
  type RevocationSource,
  type StreamHead,
} from '#mesh/revocation';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { StreamName } from '#mesh/topology';
import type { GatewayMetrics } from '../../metrics.ts';
import { createResourceCatalogue, type ResourceCataloguePostgres } from './resource-catalogue-postgres.ts';
import { readWatermarks } from './watermarks.ts';

export interface PostgresStoresOptions {
  readonly settings: {
    readonly databaseUrl: string;
    readonly databasePoolMax: number;
    readonly databaseStatementTimeoutMs: number;
    readonly databaseConnectTimeoutMs: number;
  };
  readonly replicaId: string;
  readonly newId: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: GatewayMetrics;
}

export interface PostgresStores extends AsyncDisposable {
  readonly database: Database;
  readonly catalogue: ResourceCataloguePostgres;
  readonly revocationSource: RevocationSource;
  readonly enforcementPoint: MembershipPort;
  headOf(stream: StreamName): () => Promise<StreamHead>;
  watermarks(): Promise<{ incarnation: string; seq: number }[]>;
}

// A renewal that waits behind requests costs the lease: it has a pool of its own, one connection for it and one for the
// reads beside it.
const leaseConnections = 2;

export function createPostgresStores(options: PostgresStoresOptions): PostgresStores {
  const { settings, replicaId: replica, newId, clock, logger, metrics } = options;
  const stack = new AsyncDisposableStack();
  const pool = (max: number): Database =>
    stack.use(
      createPool({
        service: 'gateway',
        connectionString: settings.databaseUrl,
        max,
        statementTimeoutMs: settings.databaseStatementTimeoutMs,
        connectTimeoutMs: settings.databaseConnectTimeoutMs,
        logger,
        clock,
      }),
    );
  const database = pool(settings.databasePoolMax);
  const lease = pool(leaseConnections);
  return {
    database,
    catalogue: createResourceCatalogue(database, metrics),
    revocationSource: createRevocationSource(lease),
    enforcementPoint: createEnforcementPoint({ database: lease, service: 'gateway', replica, newId }),
    headOf: (stream) => readStreamHead(lease, stream),
    watermarks: async () => await readWatermarks(database),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}
