// What can be revoked: the anchors of authority.md, by which mandates are refused.
import type { FieldViolation } from '#mesh/failure';

export const anchorKinds = [
  ...(['session', 'agent_session', 'edge', 'jti', 'application', 'subject', 'zone_key', 'zone'] as const),
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
