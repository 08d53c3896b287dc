// The ledger's events as an STS has published them, each with a signature that verifies.
import { Redis } from 'ioredis';
import { hmacSha256Hex } from '#mesh/canonical';
import type { StsInstallation } from './sts-installation.ts';

export interface LedgerEvent {
  readonly zone_id: string;
  readonly event_type: string;
  readonly decision?: string;
  readonly request_id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The events of one request; a badly signed one throws. */
export async function ledgerEventsOf(sts: StsInstallation, requestId: string): Promise<LedgerEvent[]> {
  const redis = new Redis(sts.installation.redis.running().url, { lazyConnect: true });
  try {
    await redis.connect();
    const key = Buffer.from(sts.installation.stack.secrets.auditHmacKey, 'hex');
    const entries = await redis.xrange('caracal.audit.events', '-', '+');
    return entries.flatMap(([, fields]) => {
      const pairs = Array.from({ length: fields.length / 2 }, (_, n) => [fields[2 * n], fields[2 * n + 1]]);
      const entry = Object.fromEntries(pairs) as Record<string, string>;
      const data = entry['data'] ?? '{}';
      const event = JSON.parse(data) as LedgerEvent;
      if (event.request_id !== requestId) return [];
      if (entry['sig'] !== hmacSha256Hex(key, data)) throw new Error(`badly signed event ${data}`);
      return [event];
    });
  } finally {
    redis.disconnect();
  }
}
