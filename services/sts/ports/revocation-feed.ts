// The need: the anchors of a zone as they stand and as they come, for those who follow them through this replica.
import type { AnchorRef } from '#mesh/mandate';
import type { Revocations } from './revocations.ts';

export interface FedAnchor extends AnchorRef {
  readonly number: number;
  readonly zoneId: string;
}

export interface RevocationFeed extends Revocations {
  /** Everything that can still refuse a mandate of the zone, in no order. */
  anchorsOf(zoneId: string): readonly FedAnchor[];
  /** Called in the turn in which an anchor was applied, of any zone. Gives a function that stops it. */
  onAnchor(listener: (anchor: FedAnchor) => void): () => void;
  /** True while the head was confirmed within the staleness limit. */
  isFresh(): boolean;
  /** True while this replica is waited for by barriers. */
  mayServe(): boolean;
}
