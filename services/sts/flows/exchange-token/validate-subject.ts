// Second step: what the new mandate comes from: the application itself, a user who signed in, or a subject mandate, alone
// or with an actor. A subject mandate is good only for the client it was issued to or for an actor it names, and what it is
// bound to stays bound.
import { fail } from '#mesh/failure';
import type { ProvenKey } from '#mesh/authority';
import type { JsonObject } from '#mesh/failure';
import type { ActorClaim, AnchorRef, ConfirmationClaim, MayActClaim, VerifiedMandate } from '#mesh/mandate';
import { mayActOf } from '../../domain/actor.ts';
import { scopesOf } from '../../domain/audience.ts';
import type { Application } from '../../domain/directory.ts';
import type { Above } from '../../domain/narrowing.ts';
import { jointConfirmation } from '../../domain/sender-constraint.ts';
import type { Grant } from '../../domain/subject-issuer.ts';
import { bindAuthority, bindingAnchors } from '../authority-above.ts';
import type { BindingDeps, BoundAuthority } from '../authority-above.ts';
import { userAuthority } from '../user-authority.ts';
import type { AuthenticatedClient } from './authenticate-client.ts';
import { actFor } from './act-for-subject.ts';
import type { Acting } from './act-for-subject.ts';
import { readMandate } from './read-mandate.ts';
import type { ReadMandateDeps } from './read-mandate.ts';
import { signInUser } from './sign-in-user.ts';
import type { SignedIn, SignInDeps } from './sign-in-user.ts';
import type { TokenRequest } from './token-request.ts';

export type SubjectDeps = BindingDeps & ReadMandateDeps & SignInDeps;

/** Where the authority comes from and everything that ends it. */
export interface Subject {
  /** Undefined for an ambient mint: the application itself, or a user who signed in. */
  readonly mandate: VerifiedMandate | undefined;
  readonly user: SignedIn | undefined;
  readonly acting: Acting | undefined;
  /** `sub` and `sub_type` of the new mandate. */
  readonly principal: { readonly subject: string; readonly subjectType: 'user' | 'application' };
  readonly act: ActorClaim | undefined;
  readonly mayAct: MayActClaim | undefined;
  /** The key the new mandate stays bound to; undefined when nothing it comes from is bound. */
  readonly confirmation: ConfirmationClaim | undefined;
  /** What policies may know of the user; undefined for an application. */
  readonly userClaims: JsonObject | undefined;
  /** What the user granted, in place of scopes and targets of a mandate; undefined when that is not what bounds it. */
  readonly grants: readonly Grant[] | undefined;
  readonly bound: BoundAuthority;
  readonly bounds: readonly Above[];
  readonly expiriesMs: readonly (number | undefined)[];
  readonly anchors: readonly AnchorRef[];
}

export interface SubjectAt {
  readonly client: AuthenticatedClient;
  readonly proven: ProvenKey;
  readonly nowMs: number;
}

/** What the request names must be what the subject is already bound to; a bound mandate never changes its binding. */
function inheritedId(own: string | undefined, asked: string | undefined): string | undefined {
  if (own !== undefined && asked !== undefined && own !== asked) {
    throw fail('access_denied', { privateDetail: 'binding_of_subject_differs' });
  }
  return own ?? asked;
}

async function bindFor(
  deps: SubjectDeps,
  request: TokenRequest,
  about: { readonly holder: Application; readonly mandate: VerifiedMandate | undefined; readonly nowMs: number },
): Promise<BoundAuthority> {
  const claims = about.mandate?.claims;
  return bindAuthority(deps, {
    zoneId: request.zoneId,
    applicationId: about.holder.id,
    agentSessionId: inheritedId(claims?.agent_session_id, request.agentSessionId),
    delegationEdgeId: inheritedId(claims?.delegation_edge_id, request.delegationEdgeId),
    nowMs: about.nowMs,
    holdingBoundsPath: false,
    refusal: 'access_denied',
  });
}

function clientAnchors(zoneId: string, client: AuthenticatedClient, subject: string): readonly AnchorRef[] {
  return [
    { kind: 'application', id: client.application.id },
    { kind: 'subject', id: subject },
    { kind: 'zone', id: zoneId },
  ];
}

/** Nothing was shown: the application asks for itself. */
async function ownAuthority(deps: SubjectDeps, request: TokenRequest, at: SubjectAt): Promise<Subject> {
  if (request.actorToken !== undefined) {
    throw fail('invalid_request', { fields: [{ path: 'actor_token', rule: 'only with subject_token' }] });
  }
  const { application } = at.client;
  const bound = await bindFor(deps, request, { holder: application, mandate: undefined, nowMs: at.nowMs });
  return {
    ...nothingShown,
    principal: { subject: application.id, subjectType: 'application' },
    mayAct: mayActOf(application.mayAct),
    bound,
    bounds: bound.bounds,
    expiriesMs: bound.expiriesMs,
    anchors: [...clientAnchors(request.zoneId, at.client, application.id), ...bindingAnchors(bound)],
  };
}

const nothingShown = {
  mandate: undefined,
  user: undefined,
  acting: undefined,
  act: undefined,
  confirmation: undefined,
  userClaims: undefined,
  grants: undefined,
} as const;
const unbound: BoundAuthority = { session: undefined, path: undefined, bounds: [], expiriesMs: [] };

async function signedIn(deps: SubjectDeps, request: TokenRequest, at: SubjectAt & { token: string }): Promise<Subject> {
  const { application } = at.client;
  const user = await signInUser(deps, request, { token: at.token, application, nowMs: at.nowMs });
  return {
    ...nothingShown,
    user,
    principal: { subject: user.subject, subjectType: 'user' },
    mayAct: user.mayAct,
    userClaims: user.claims,
    bound: unbound,
    bounds: [],
    expiriesMs: [user.expiresAtMs],
    anchors: clientAnchors(request.zoneId, at.client, user.subject),
  };
}

async function fromMandate(
  deps: SubjectDeps,
  request: TokenRequest,
  at: SubjectAt & { token: string },
): Promise<Subject> {
  const { token, proven, nowMs, client } = at;
  const mandate = await readMandate(deps, { zoneId: request.zoneId, token, proven });
  const { claims } = mandate;
  const acting = await actFor(deps, request, { subject: mandate, client, proven, nowMs });
  const [bound, user] = await Promise.all([
    bindFor(deps, request, { holder: acting.holder, mandate, nowMs }),
    claims.sub_type === 'user' ? userAuthority(deps, claims) : undefined,
  ]);
  // A user's mandate has neither scopes nor targets of its own: its grants stand in their place.
  const own: readonly Above[] = user ? [] : [{ scopes: scopesOf(claims), resources: claims.target ?? [] }];
  return {
    mandate,
    user: undefined,
    acting,
    principal: { subject: claims.sub, subjectType: claims.sub_type },
    act: acting.act,
    mayAct: undefined,
    confirmation: jointConfirmation(acting.actor?.claims.cnf, claims.cnf),
    userClaims: user?.claims,
    grants: user?.grants,
    bound,
    bounds: [...own, ...bound.bounds],
    expiriesMs: [claims.exp * 1000, ...bound.expiriesMs, ...acting.expiriesMs],
    anchors: [
      ...clientAnchors(request.zoneId, client, claims.sub),
      ...deps.mandateReader.anchorsOf(mandate),
      ...bindingAnchors(bound),
      ...acting.anchors,
    ],
  };
}

/** The subject with its bounds, or `invalid_request`, `invalid_token`, `token_revoked`, `access_denied`. */
export async function validateSubject(deps: SubjectDeps, request: TokenRequest, at: SubjectAt): Promise<Subject> {
  const { subject } = request;
  if (!subject) return ownAuthority(deps, request, at);
  const shown = { ...at, token: subject.token };
  return subject.type === 'id_token' ? signedIn(deps, request, shown) : fromMandate(deps, request, shown);
}
