// The Gateway's trail: its decisions and outcomes, signed, kept in the journal and sent to the ledger's stream.
import type { Logger, Metrics } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import { createTrail, type Trail } from '#mesh/trail';
import type { PostgresStores } from '../postgres/postgres-stores.ts';
import type { RedisStores } from './redis-stores.ts';

export interface TrailOptions {
  readonly settings: {
    readonly journalDirectory: string;
    readonly journalMaxBytes: number;
    readonly streamHighWaterPercent: number;
    readonly auditHmacKey: Uint8Array;
    readonly auditHmacKeyPrevious?: Uint8Array | undefined;
  };
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface TrailStores {
  readonly postgres: Pick<PostgresStores, 'watermarks'>;
  readonly redis: Pick<RedisStores, 'audit' | 'signer'>;
}

export async function openTrail({ settings, ...own }: TrailOptions, { postgres, redis }: TrailStores): Promise<Trail> {
  return await createTrail({
    ...own,
    producer: 'gateway',
    redis: redis.audit,
    journalDirectory: settings.journalDirectory,
    maxBytes: settings.journalMaxBytes,
    highWaterPercent: settings.streamHighWaterPercent,
    auditKey: settings.auditHmacKey,
    previousAuditKey: settings.auditHmacKeyPrevious,
    streamSigner: redis.signer,
    watermarks: async () => await postgres.watermarks(),
  });
}
