// The need: everything that is sealed under ZONE_KEK, zone by zone, so that it can be sealed anew under another.
import type { SealLocation } from './vault.ts';

export interface SealedValue {
  readonly location: SealLocation;
  readonly envelope: Uint8Array;
}

/** A column that holds envelopes. */
export interface SealedColumn {
  readonly table: string;
  readonly column: string;
}

export interface SealedValues {
  readonly columns: readonly SealedColumn[];
  /** Zones in growing order of their ids, after one. */
  zonesAfter(zoneId: string, limit: number): Promise<readonly string[]>;
  /** The column's values in a zone, in growing order of their row ids, after one. */
  page(zoneId: string, column: SealedColumn, from: { after: string; limit: number }): Promise<readonly SealedValue[]>;
  /** The row's value as it is now; undefined when it is gone. */
  find(zoneId: string, location: SealLocation): Promise<SealedValue | undefined>;
  /** Puts another envelope of the same value in its place, unless the row was changed meanwhile. */
  replace(zoneId: string, before: SealedValue, envelope: Uint8Array): Promise<boolean>;
  /** How many values of a zone are sealed under another key than this (hex id). */
  countOthers(zoneId: string, keyId: string): Promise<number>;
}
