// What can be revoked by hand: the anchors of authority.md, by which mandates are refused, but zone keys. Those are replaced
// (flows/zone-keys/rotate.ts): an anchor on one refuses whatever it signed, and it must sign no more.
import type { FieldViolation } from '#mesh/failure';

export const anchorKinds = [
  ...(['session', 'agent_session', 'edge', 'jti', 'application', 'subject', 'zone'] as const),
] as const;
export type AnchorKind = (typeof anchorKinds)[number];

export interface AnchorChoice {
  readonly kind: AnchorKind;
  readonly id: string;
}

/** A zone is revoked by its own name only; anything else would be written and hit nothing. */
export function anchorProblems(zoneId: string, anchors: readonly AnchorChoice[]): FieldViolation[] {
  return anchors.flatMap(({ kind, id }, at) =>
    kind === 'zone' && id !== zoneId ? [{ path: `anchors[${at}].id`, rule: 'the id of this zone' }] : [],
  );
}
