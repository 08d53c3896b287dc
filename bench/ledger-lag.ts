// How far the ledger is behind its producers: entries of the audit stream that are not acknowledged yet. A governed figure
// counts only if this did not grow.
import { createRedis } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';

export interface LedgerLag extends AsyncDisposable {
  /** Entries delivered and not acknowledged, and entries not delivered yet. */
  read(): Promise<number>;
}

export function watchLedgerLag(redisUrl: string): LedgerLag {
  const redis = createRedis({ url: redisUrl, db: 0, name: 'bench', logger: silentLogger });
  return {
    read: async () => {
      const groups = (await redis.call('XINFO', 'GROUPS', 'caracal.audit.events')) as unknown[][];
      const ingestor = groups.map(asRecord).find((group) => group['name'] === 'audit-ingestor');
      return Number(ingestor?.['pending'] ?? 0) + Number(ingestor?.['lag'] ?? 0);
    },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };
}

function asRecord(flat: readonly unknown[]): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) record[String(flat[at])] = flat[at + 1];
  return record;
}
