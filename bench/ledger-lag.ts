// How far the ledger is behind its producers: entries of the audit stream that are not acknowledged yet. A governed figure
// counts only if this did not grow.
import { createRedis } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';

const streamKey = 'caracal.audit.events';

export interface LedgerLag extends AsyncDisposable {
  /** Entries delivered and not acknowledged, and entries not delivered yet. */
  read(): Promise<number>;
}

export function watchLedgerLag(redisUrl: string): LedgerLag {
  const redis = createRedis({ url: redisUrl, db: 0, name: 'bench', logger: silentLogger });
  // Redis' own count drifts by what was trimmed. Where everything was delivered it shows by how much.
  let drift = 0;
  return {
    read: async () => {
      const stream = asRecord((await redis.call('XINFO', 'STREAM', streamKey)) as unknown[]);
      const groups = (await redis.call('XINFO', 'GROUPS', streamKey)) as unknown[][];
      const ingestor = groups.map(asRecord).find((group) => group['name'] === 'audit-ingestor');
      const counted = Number(ingestor?.['lag'] ?? 0);
      if (ingestor?.['last-delivered-id'] === stream['last-generated-id']) drift = counted;
      return Number(ingestor?.['pending'] ?? 0) + Math.max(0, counted - drift);
    },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };
}

function asRecord(flat: readonly unknown[]): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) record[String(flat[at])] = flat[at + 1];
  return record;
}
