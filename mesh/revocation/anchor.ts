// Anchors held in memory: for each (zone, kind, id) the highest number, found in a few map look-ups per request.
import type { AnchorKindName, AnchorRef } from '#mesh/mandate';

/**
 * A revocation: it refuses every mandate it matches whose `rev` is below its number. The one on a zone key refuses whatever
 * `rev` says, because a key that leaked signs any `rev`; keys are named once and never come back.
 */
export interface Anchor {
  readonly number: number;
  readonly zoneId: string;
  readonly kind: AnchorKindName;
  readonly id: string;
  readonly reason: string;
  readonly revokedAtMs: number;
}

const keyOf = (kind: AnchorKindName, id: string): string => `${kind} ${id}`;

export class AnchorIndex {
  readonly #zones = new Map<string, Map<string, Anchor>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Keeps the higher of two numbers; order and repetition change nothing. */
  add(anchor: Anchor): void {
    const zone = this.#zones.get(anchor.zoneId) ?? new Map<string, Anchor>();
    this.#zones.set(anchor.zoneId, zone);
    const key = keyOf(anchor.kind, anchor.id);
    const known = zone.get(key);
    if (known !== undefined && known.number >= anchor.number) return;
    if (known === undefined) this.#size += 1;
    zone.set(key, anchor);
  }

  /** The anchor that refuses a mandate of this zone with this `rev`, if one of its references is hit. */
  find(zoneId: string, rev: number, references: readonly AnchorRef[]): Anchor | undefined {
    const zone = this.#zones.get(zoneId);
    if (zone === undefined) return undefined;
    for (const { kind, id } of references) {
      const anchor = zone.get(keyOf(kind, id));
      if (anchor !== undefined && (kind === 'zone_key' || rev < anchor.number)) return anchor;
    }
    return undefined;
  }

  /** Everything held of a zone, in no order. */
  ofZone(zoneId: string): readonly Anchor[] {
    return [...(this.#zones.get(zoneId)?.values() ?? [])];
  }

  /** Drops anchors written before the moment: every mandate they could refuse has expired. */
  prune(beforeMs: number): void {
    for (const [zoneId, zone] of this.#zones) {
      for (const [key, { revokedAtMs }] of zone) {
        if (revokedAtMs < beforeMs && zone.delete(key)) this.#size -= 1;
      }
      if (zone.size === 0) this.#zones.delete(zoneId);
    }
  }

  clear(): void {
    this.#zones.clear();
    this.#size = 0;
  }
}
