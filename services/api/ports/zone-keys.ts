// The need: a zone's signing keys, changed in the caller's transaction. They are the STS's rows; it gives no envelope away.
import type { StreamNumber } from '#mesh/revocation';
import type { ZoneKey } from '../domain/zone-key.ts';
import type { Collection } from './collection.ts';

/** A key that was made and sealed by the STS, and stored nowhere yet. */
export interface ZoneKeyRow {
  readonly keyId: string;
  readonly publicJwkJson: string;
  readonly envelope: Uint8Array;
}

export interface KeyReplacement {
  readonly position: StreamNumber;
  readonly revocationNumber: number;
  /** The keys that were retired. */
  readonly retired: readonly string[];
}

export interface ZoneKeys extends Pick<Collection<ZoneKey>, 'find' | 'page'> {
  /** Nobody else changes the zone's keys until the transaction ends. How many are in JWKS, and the newest version. */
  lock(): Promise<{ readonly live: number; readonly newest: number }>;
  /** Publishes a key that signs after the lead; the one before signs until then. Tells the key stream. */
  rotate(key: ZoneKeyRow, about: { leadSeconds: number; reason: string }): Promise<StreamNumber>;
  /** The key signs at once; all others are retired, and anchors refuse whatever they signed. Call it last. */
  replace(key: ZoneKeyRow, reason: string): Promise<KeyReplacement>;
}
