// An id token as subject: somebody signed in at a registered issuer just now, and says so once.
import { sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { FieldViolation } from '#mesh/failure';
import type { MayActClaim } from '#mesh/mandate';
import { mayActOf } from '../../domain/actor.ts';
import type { Application } from '../../domain/directory.ts';
import { claimedIssuer, readIdToken } from '../../domain/id-token.ts';
import type { IdToken } from '../../domain/id-token.ts';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { IdTokens } from '../../ports/id-tokens.ts';
import type { SingleUse, SpentOnce } from '../../ports/single-use.ts';
import type { UserDeps } from '../user-authority.ts';
import type { TokenRequest } from './token-request.ts';

export interface SignInDeps extends UserDeps {
  readonly issuer: string;
  readonly idTokens: IdTokens;
  readonly singleUse: SingleUse;
}

/** A user who signed in. */
export interface SignedIn extends Omit<IdToken, 'madeAtMs' | 'shownUntilMs'> {
  readonly issuerId: string;
  /** The mark to set before the token counts. */
  readonly once: SpentOnce;
}

/** A user mandate says who; where and what come with the mandates made from it. */
function refuseAuthority(request: TokenRequest): void {
  const fields: FieldViolation[] = [];
  const refuse = (path: string, present: boolean): void => {
    if (present) fields.push({ path, rule: 'not with an id token' });
  };
  refuse('resource', request.resources.length > 0);
  refuse('scope', request.scopes !== undefined);
  refuse('agent_session_id', request.agentSessionId !== undefined);
  refuse('delegation_edge_id', request.delegationEdgeId !== undefined);
  // The actor acts with the user's mandate, which says whether it may.
  refuse('actor_token', request.actorToken !== undefined);
  if (fields.length > 0) throw fail('invalid_request', { fields });
}

async function issuerOf(deps: SignInDeps, zoneId: string, token: string): Promise<SubjectIssuer> {
  const claimed = claimedIssuer(token);
  const issuers = claimed === undefined ? [] : await deps.subjects.issuers(zoneId);
  const issuer = issuers.find((one) => one.issuer === claimed);
  // Ours could have been registered before this installation had its name.
  if (!issuer || issuer.issuer === deps.issuer)
    throw fail('invalid_token', { privateDetail: 'unknown_subject_issuer' });
  return issuer;
}

function permissionOf(issuer: SubjectIssuer, token: IdToken, application: Application): MayActClaim | undefined {
  switch (issuer.mayAct) {
    case 'none':
      return undefined;
    case 'id_token':
      return token.mayAct;
    case 'application':
      return mayActOf(application.mayAct);
  }
}

/** The user, or `invalid_request`, `invalid_token`, `issuer_unavailable`. Nothing is used up yet. */
export async function signInUser(
  deps: SignInDeps,
  request: TokenRequest,
  at: { readonly token: string; readonly application: Application; readonly nowMs: number },
): Promise<SignedIn> {
  refuseAuthority(request);
  const issuer = await issuerOf(deps, request.zoneId, at.token);
  const signature = await deps.idTokens.verify(at.token, issuer);
  if (signature.kind === 'refused') throw fail('invalid_token', { privateDetail: signature.cause });
  const verdict = readIdToken(signature.payload, issuer, at.nowMs);
  if (verdict.kind === 'refused') throw fail('invalid_token', { privateDetail: verdict.cause });
  const { madeAtMs, shownUntilMs, ...token } = verdict.token;
  // By what was signed: a signature can be written in more than one way.
  const signed = at.token.slice(0, at.token.lastIndexOf('.'));
  return {
    ...token,
    mayAct: permissionOf(issuer, verdict.token, at.application),
    issuerId: issuer.id,
    once: {
      zoneId: request.zoneId,
      kind: 'id_token',
      id: sha256Hex(`${issuer.id} ${signed}`),
      ttlMs: shownUntilMs - at.nowMs,
      issuedAtMs: madeAtMs,
    },
  };
}

/** Uses the id token up. Throws `token_replayed`, `replay_store_unavailable`. */
export async function spendIdToken(deps: Pick<SignInDeps, 'singleUse'>, { once }: SignedIn): Promise<void> {
  if ((await deps.singleUse.spend(once)) === 'replayed') throw fail('token_replayed', { privateDetail: 'id_token' });
}
