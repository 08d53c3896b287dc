// What is revoked, and whether this process knows enough to serve at all.
import type { AnchorRef, AnchorKindName } from '#mesh/mandate';

export interface RevokedAnchor {
  readonly number: number;
  readonly zoneId: string;
  readonly kind: AnchorKindName;
  readonly id: string;
}

export interface Revocations {
  /** Throws `revocation_stale` unless the lease holds and the view is fresh. */
  assertUsable(): void;
  /** The anchor that refuses a mandate whose `rev` is this and that is matched by these. */
  refuses(zoneId: string, rev: number, anchors: readonly AnchorRef[]): RevokedAnchor | undefined;
}
