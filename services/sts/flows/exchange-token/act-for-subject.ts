// Who uses a subject mandate: its own client, or an actor it names (RFC 8693 §1.1, §4.1, §4.4; authority.md "Client
// binding"). Whatever does not fit is refused, and never taken for less than it was meant to be.
import { fail } from '#mesh/failure';
import type { ProvenKey } from '#mesh/authority';
import type { ActorClaim, AnchorRef, VerifiedMandate } from '#mesh/mandate';
import { actClaim, mayAct } from '../../domain/actor.ts';
import { isLive } from '../../domain/directory.ts';
import type { Application } from '../../domain/directory.ts';
import { bindAuthority, bindingAnchors } from '../authority-above.ts';
import type { BindingDeps } from '../authority-above.ts';
import type { AuthenticatedClient } from './authenticate-client.ts';
import { readMandate } from './read-mandate.ts';
import type { ReadMandateDeps } from './read-mandate.ts';
import type { TokenRequest } from './token-request.ts';

export type ActingDeps = BindingDeps & ReadMandateDeps;

export interface Acting {
  /** The application the subject mandate was issued to, whose authority it stays. */
  readonly holder: Application;
  /** The mandate of the actor; undefined when the subject's own client uses it. */
  readonly actor: VerifiedMandate | undefined;
  /** `act` of the new mandate. */
  readonly act: ActorClaim | undefined;
  readonly expiriesMs: readonly (number | undefined)[];
  readonly anchors: readonly AnchorRef[];
}

interface ActAt {
  readonly subject: VerifiedMandate;
  readonly client: AuthenticatedClient;
  readonly proven: ProvenKey;
  readonly nowMs: number;
}

function refuse(cause: string): never {
  throw fail('invalid_token', { privateDetail: cause });
}

async function holderOfSubject(deps: ActingDeps, { subject, client, nowMs }: ActAt): Promise<Application> {
  const { zone_id: zoneId, client_id: id } = subject.claims;
  if (id === client.application.id) return client.application;
  const holder = await deps.directory.application(zoneId, id);
  return holder && isLive(holder, nowMs) ? holder : refuse('unknown_client_of_subject');
}

/** The actor's mandate: issued to the authenticated client, of another subject, and named by the subject. */
async function readActor(
  deps: ActingDeps,
  request: TokenRequest,
  at: ActAt & { token: string },
): Promise<VerifiedMandate> {
  const { subject, client, token, proven } = at;
  const actor = await readMandate(deps, { zoneId: request.zoneId, token, proven });
  if (actor.claims.client_id !== client.application.id) refuse('actor_of_another_client');
  if (actor.claims.sub === subject.claims.sub) refuse('actor_is_subject');
  const permission = subject.claims.may_act;
  if (!permission) refuse('no_actor_permitted');
  if (!mayAct(permission, actor.claims)) refuse('actor_not_permitted');
  return actor;
}

/** Decides who acts, or throws `invalid_token`, `token_revoked`, `access_denied`. */
export async function actFor(deps: ActingDeps, request: TokenRequest, at: ActAt): Promise<Acting> {
  const { subject, client, nowMs } = at;
  const token = request.actorToken;
  if (token === undefined) {
    if (subject.claims.client_id !== client.application.id) refuse('subject_of_another_client');
    if (subject.claims.may_act) refuse('actor_required');
    const { act } = subject.claims;
    return { holder: client.application, actor: undefined, act, expiriesMs: [], anchors: [] };
  }
  const actor = await readActor(deps, request, { ...at, token });
  const act = actClaim(actor.claims, subject.claims) ?? refuse('too_many_actors');
  const holder = await holderOfSubject(deps, at);
  // The actor's own session and path must still stand; they end the new mandate and lend it nothing.
  const bound = await bindAuthority(deps, {
    zoneId: request.zoneId,
    applicationId: client.application.id,
    agentSessionId: actor.claims.agent_session_id,
    delegationEdgeId: actor.claims.delegation_edge_id,
    nowMs,
    holdingBoundsPath: false,
    refusal: 'access_denied',
  });
  return {
    holder,
    actor,
    act,
    expiriesMs: [actor.claims.exp * 1000, holder.expiresAtMs, ...bound.expiriesMs],
    anchors: [...deps.mandateReader.anchorsOf(actor), { kind: 'application', id: holder.id }, ...bindingAnchors(bound)],
  };
}
