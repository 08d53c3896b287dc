// SessionRecords on sts.session_records: one insert per ambient mint.
import { fail } from '#mesh/failure';
import type { SessionRecords } from '../../ports/session-records.ts';
import { insertSessionRecord } from './statements.ts';
import { inZone } from './zone-reader.ts';
import type { ZoneShares } from './zone-shares.ts';

export function createSessionRecordsPostgres(database: ZoneShares): SessionRecords {
  return {
    async insert(record) {
      const rootSid = await inZone(database, record.zoneId, async (tx) =>
        insertSessionRecord(tx, { ...record, expiresAt: new Date(record.expiresAtMs) }),
      );
      if (rootSid === undefined)
        throw fail('internal_error', { privateDetail: 'session record for an impossible zone' });
      return { rootSid };
    },
  };
}
