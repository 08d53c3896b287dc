// The trail of the STS's decisions, over the journal of this replica and the ledger's stream.
import { newId } from '#mesh/ids';
import type { Foundation } from '#mesh/runtime';
import { createTrail } from '#mesh/trail';
import type { Trail } from '#mesh/trail';
import { readWatermarks } from '../postgres/watermarks.ts';

export interface TrailSettings {
  readonly keys: { readonly auditHmacKey: Uint8Array; readonly auditHmacKeyPrevious: Uint8Array | undefined };
  readonly trail: {
    readonly journalDirectory: string;
    readonly journalMaxBytes: number;
    readonly streamHighWaterPercent: number;
  };
}

export async function openTrail({ keys, trail }: TrailSettings, foundation: Foundation): Promise<Trail> {
  const { clock, logger, metrics, database } = foundation;
  return createTrail({
    producer: 'sts',
    redis: foundation.ledgerRedis,
    journalDirectory: trail.journalDirectory,
    maxBytes: trail.journalMaxBytes,
    auditKey: keys.auditHmacKey,
    previousAuditKey: keys.auditHmacKeyPrevious,
    streamSigner: foundation.signer,
    highWaterPercent: trail.streamHighWaterPercent,
    watermarks: async () => readWatermarks(database),
    clock,
    newId,
    logger,
    metrics,
  });
}
