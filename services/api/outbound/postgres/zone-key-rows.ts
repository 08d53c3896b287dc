// Zone keys through what the STS publishes: its view without envelopes and its functions, in the API's transaction.
import { fail } from '#mesh/failure';
import { type ZoneTransaction, int8 } from '#mesh/postgres';
import type { StreamNumber } from '#mesh/revocation';
import type { ZoneKey } from '../../domain/zone-key.ts';
import type { ZoneKeys } from '../../ports/zone-keys.ts';
import { createCollection } from './collection.ts';
import type { TableShape } from './table-shape.ts';

const zoneKeyShape: TableShape<ZoneKey> = {
  table: 'sts_pub.zone_keys',
  columns: {
    id: 'plain',
    version: 'whole',
    state: 'plain',
    publicJwk: 'json',
    signsFrom: 'time',
    signsUntil: 'time',
    retiresAt: 'time',
    createdAt: 'time',
  },
  archives: false,
  versioned: false,
};

interface PositionRow {
  readonly incarnation: string;
  readonly number: string;
}

function positionOf(row: PositionRow | undefined): StreamNumber {
  if (row === undefined) throw fail('internal_error', { privateDetail: 'a rotation without a position' });
  return { stream: 'caracal.keys.invalidate', incarnation: row.incarnation, number: int8(row.number) };
}

export function createZoneKeyRows(tx: ZoneTransaction): ZoneKeys {
  const rows = createCollection(tx, zoneKeyShape);
  return {
    find: (id) => rows.find(id),
    page: (query, filter) => rows.page(query, filter),
    lock: async () => {
      const row = await tx.one<{ live: number; newest: number }>(
        'SELECT live, newest FROM sts_pub.lock_zone_keys($1)',
        [tx.zoneId],
      );
      return row ?? { live: 0, newest: 0 };
    },
    rotate: async ({ keyId, publicJwkJson, envelope }, { leadSeconds, reason }) =>
      positionOf(
        await tx.one<PositionRow>('SELECT incarnation, number FROM sts_pub.rotate_zone_key($1, $2, $3, $4, $5, $6)', [
          tx.zoneId,
          keyId,
          publicJwkJson,
          envelope,
          leadSeconds,
          reason,
        ]),
      ),
    replace: async ({ keyId, publicJwkJson, envelope }, reason) => {
      const row = await tx.one<PositionRow & { revocation: string; retired: string[] }>(
        'SELECT incarnation, number, revocation, retired FROM sts_pub.replace_zone_keys($1, $2, $3, $4, $5)',
        [tx.zoneId, keyId, publicJwkJson, envelope, reason],
      );
      const position = positionOf(row);
      return { position, revocationNumber: int8(row?.revocation ?? 0), retired: row?.retired ?? [] };
    },
  };
}
