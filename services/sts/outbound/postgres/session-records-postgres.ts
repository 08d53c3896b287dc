// SessionRecords on sts.session_records: records of one zone that are asked for while an insert is under way go together in
// the next, so that mints at once share one transaction and one write to disk.
import { Failure, fail } from '#mesh/failure';
import type { SessionRecord, SessionRecords } from '../../ports/session-records.ts';
import { insertSessionRecords } from './statements.ts';
import { inZone } from './zone-reader.ts';
import type { ZoneShares } from './zone-shares.ts';

/** A few hundred bytes each; more would make the first wait for the last. */
const batchSize = 128;
/** Beyond this the database does not keep up, and whoever joined would wait for seconds. */
const maxWaitingPerZone = 2048;

interface Waiting {
  readonly record: SessionRecord;
  readonly settle: (inserted: { rootSid: string }) => void;
  readonly abandon: (error: unknown) => void;
}

async function insertAll(database: ZoneShares, records: readonly SessionRecord[]): Promise<Map<string, string>> {
  const [first] = records;
  const inserted = await inZone(database, first?.zoneId ?? '', async (tx) =>
    insertSessionRecords(
      tx,
      records.map((record) => ({ ...record, expiresAt: new Date(record.expiresAtMs) })),
    ),
  );
  if (!inserted) throw fail('internal_error', { privateDetail: 'session record for an impossible zone' });
  return new Map(inserted.map(({ id, root_id: root }) => [id, root]));
}

/** A store that is away is away for each of them; anything else may be the fault of one. */
function isOfOne(error: unknown): boolean {
  return !(error instanceof Failure) || error.reason !== 'store_unavailable';
}

async function insertBatch(database: ZoneShares, batch: readonly Waiting[]): Promise<void> {
  try {
    const roots = await insertAll(
      database,
      batch.map(({ record }) => record),
    );
    for (const { record, settle } of batch) settle({ rootSid: roots.get(record.id) ?? record.id });
  } catch (error) {
    if (batch.length > 1 && isOfOne(error)) for (const waiting of batch) await insertBatch(database, [waiting]);
    else for (const { abandon } of batch) abandon(error);
  }
}

export function createSessionRecordsPostgres(database: ZoneShares): SessionRecords {
  /** By zone, while an insert of it is under way. */
  const lines = new Map<string, Waiting[]>();

  async function work(zoneId: string, line: Waiting[]): Promise<void> {
    while (line.length > 0) await insertBatch(database, line.splice(0, batchSize));
    lines.delete(zoneId);
  }

  return {
    async insert(record) {
      return new Promise((settle, abandon) => {
        const line = lines.get(record.zoneId);
        if (line && line.length >= maxWaitingPerZone) {
          abandon(fail('store_unavailable', { privateDetail: 'too many session records of one zone' }));
        } else if (line) {
          line.push({ record, settle, abandon });
        } else {
          const own = [{ record, settle, abandon }];
          lines.set(record.zoneId, own);
          void work(record.zoneId, own);
        }
      });
    },
  };
}
