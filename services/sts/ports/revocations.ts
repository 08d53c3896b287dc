// The need: which anchors this replica has applied, and whether it may rely on them now.
import type { AnchorRef } from '#mesh/mandate';

export interface Revocations {
  /** The highest revocation number applied. */
  applied(): number;
  /** The anchor that refuses what was issued at `rev`, if any. */
  refuses(zoneId: string, rev: number, anchors: readonly AnchorRef[]): object | undefined;
  /** Throws `revocation_stale` when this replica is not fresh or its lease has lapsed. */
  assertUsable(): void;
}
