// SealedValues in memory: columns as maps from zone to row, and writers that come between.
import type { SealedColumn, SealedValue, SealedValues } from '../../ports/sealed-values.ts';
import type { SealLocation } from '../../ports/vault.ts';

export interface SealedValuesMemory extends SealedValues {
  /** Writes a row, as its owner would. */
  put(zoneId: string, location: SealLocation, envelope: Uint8Array): void;
  /** Runs before the next replacement, once. */
  beforeReplace: (() => void) | undefined;
}

const keyOf = ({ table, column, rowId }: SealLocation): string => `${table} ${column} ${rowId}`;

export function createSealedValuesMemory(columns: readonly SealedColumn[]): SealedValuesMemory {
  const zones = new Map<string, Map<string, SealedValue>>();
  const rowsOf = (zoneId: string): Map<string, SealedValue> => zones.get(zoneId) ?? new Map<string, SealedValue>();
  const memory: SealedValuesMemory = {
    columns,
    beforeReplace: undefined,
    put(zoneId, location, envelope) {
      const rows = rowsOf(zoneId);
      rows.set(keyOf(location), { location, envelope });
      zones.set(zoneId, rows);
    },
    zonesAfter: async (after, limit) =>
      [...zones.keys()]
        .toSorted()
        .filter((id) => id > after)
        .slice(0, limit),
    page: async (zoneId, { table, column }, { after, limit }) =>
      [...rowsOf(zoneId).values()]
        .filter(({ location }) => location.table === table && location.column === column && location.rowId > after)
        .toSorted((a, b) => (a.location.rowId < b.location.rowId ? -1 : 1))
        .slice(0, limit),
    find: async (zoneId, location) => rowsOf(zoneId).get(keyOf(location)),
    async replace(zoneId, before, envelope) {
      const meanwhile = memory.beforeReplace;
      memory.beforeReplace = undefined;
      meanwhile?.();
      const now = rowsOf(zoneId).get(keyOf(before.location));
      if (now === undefined || !Buffer.from(now.envelope).equals(Buffer.from(before.envelope))) return false;
      memory.put(zoneId, before.location, envelope);
      return true;
    },
    countOthers: async (zoneId, keyId) =>
      [...rowsOf(zoneId).values()].filter(
        ({ envelope }) => Buffer.from(envelope.subarray(1, 9)).toString('hex') !== keyId,
      ).length,
  };
  return memory;
}
