// Who may act for whom, and what a mandate says of it (RFC 8693 §4.1 and §4.4). It stands alone because the one permission
// to use another client's mandate is decided here.
import type { ActorClaim, ActorName, MandateClaims, MayActClaim } from '#mesh/mandate';

/** As many as any verifier reads (mesh/mandate limits). */
const maxActors = 10;
const maxNames = 16;

function isNamed(name: ActorName, actor: Pick<MandateClaims, 'sub' | 'client_id'>): boolean {
  if (name.sub === undefined && name.client_id === undefined) return false;
  return (
    (name.sub === undefined || name.sub === actor.sub) &&
    (name.client_id === undefined || name.client_id === actor.client_id)
  );
}

/** Whether the subject's `may_act` names this actor. One that names nobody allows nobody. */
export function mayAct(permission: MayActClaim, actor: Pick<MandateClaims, 'sub' | 'client_id'>): boolean {
  const { any_of: names, ...own } = permission;
  const isOwn = Object.keys(own).length === 0 ? names !== undefined : isNamed(own, actor);
  return isOwn && (names === undefined || names.some((name) => isNamed(name, actor)));
}

/** What a registration means as a claim; undefined when nobody is registered. */
export function mayActOf(registered: readonly ActorName[]): MayActClaim | undefined {
  if (registered.length <= 1) return registered[0];
  return { any_of: registered.slice(0, maxNames) };
}

function chainOf(act: ActorClaim | undefined): readonly Omit<ActorClaim, 'act'>[] {
  if (!act) return [];
  const { act: inner, ...self } = act;
  return [self, ...chainOf(inner)];
}

/**
 * `act` of a mandate made for the subject with this actor: the actor outermost, who acted for it beneath, and beneath that
 * whoever acted for the subject before. Undefined when that is more than a verifier reads.
 */
export function actClaim(actor: MandateClaims, subject: Pick<MandateClaims, 'act'>): ActorClaim | undefined {
  const present: Omit<ActorClaim, 'act'> = {
    sub: actor.sub,
    client_id: actor.client_id,
    sid: actor.sid,
    ...(actor.root_sid === actor.sid ? {} : { root_sid: actor.root_sid }),
    ...(actor.agent_session_id === undefined ? {} : { agent_session_id: actor.agent_session_id }),
  };
  const chain = [present, ...chainOf(actor.act), ...chainOf(subject.act)];
  if (chain.length > maxActors) return undefined;
  return chain.reduceRight<ActorClaim | undefined>(
    (inner, link) => (inner ? { ...link, act: inner } : link),
    undefined,
  );
}

/**
 * The application in whose hands the authority of a mandate lies: the one that owns its session, and the one users granted
 * it to. It is the client, except where an actor of another client uses what was issued to the last link of the chain.
 */
export function holderOf(claims: Pick<MandateClaims, 'client_id' | 'delegation_chain'>): string {
  return claims.delegation_chain?.at(-1)?.app ?? claims.client_id;
}
