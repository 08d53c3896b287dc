// Second step: what the new mandate comes from. A subject mandate is good only for the client it was issued to, and what
// it is bound to stays bound.
import { fail } from '#mesh/failure';
import type { ProvenKey } from '#mesh/authority';
import type { AnchorRef, VerifiedMandate } from '#mesh/mandate';
import { refuseMandate, scopesOf } from '../../domain/audience.ts';
import type { Above } from '../../domain/narrowing.ts';
import type { MandateReader } from '../../ports/mandate-issuing.ts';
import type { Revocations } from '../../ports/revocations.ts';
import { bindAuthority, bindingAnchors } from '../authority-above.ts';
import type { BindingDeps, BoundAuthority } from '../authority-above.ts';
import type { AuthenticatedClient } from './authenticate-client.ts';
import type { TokenRequest } from './token-request.ts';

export interface SubjectDeps extends BindingDeps {
  readonly issuer: string;
  readonly mandateReader: MandateReader;
  readonly revocations: Revocations;
}

/** Where the authority comes from and everything that ends it. */
export interface Subject {
  /** Undefined for an ambient mint: the application itself. */
  readonly mandate: VerifiedMandate | undefined;
  readonly bound: BoundAuthority;
  readonly bounds: readonly Above[];
  readonly expiriesMs: readonly number[];
  readonly anchors: readonly AnchorRef[];
}

async function readSubject(
  deps: SubjectDeps,
  request: TokenRequest,
  shown: { readonly token: string; readonly proven: ProvenKey },
): Promise<VerifiedMandate> {
  const mandate = await deps.mandateReader.verify(shown.token);
  const { issuer } = deps;
  const place = { at: 'token_endpoint', issuer, zoneId: request.zoneId, proven: shown.proven } as const;
  const refusal = refuseMandate(mandate.claims, place);
  if (refusal !== undefined) throw fail('invalid_token', { privateDetail: refusal });
  // RFC 8693 §2.1 leaves client binding to the server: a subject mandate is worth nothing in another client's hands.
  if (mandate.claims.client_id !== request.applicationId) {
    throw fail('invalid_token', { privateDetail: 'subject_of_another_client' });
  }
  if (mandate.claims.may_act) throw fail('invalid_token', { privateDetail: 'actor_required' });
  if (deps.revocations.refuses(request.zoneId, mandate.claims.rev, deps.mandateReader.anchorsOf(mandate))) {
    throw fail('token_revoked');
  }
  return mandate;
}

/** What the request names must be what the subject is already bound to; a bound mandate never changes its binding. */
function inheritedId(own: string | undefined, asked: string | undefined): string | undefined {
  if (own !== undefined && asked !== undefined && own !== asked) {
    throw fail('access_denied', { privateDetail: 'binding_of_subject_differs' });
  }
  return own ?? asked;
}

/** The subject with its bounds, or `invalid_token`, `token_revoked`, `access_denied`. */
export async function validateSubject(
  deps: SubjectDeps,
  request: TokenRequest,
  at: { readonly client: AuthenticatedClient; readonly proven: ProvenKey; readonly nowMs: number },
): Promise<Subject> {
  const mandate =
    request.subject && (await readSubject(deps, request, { token: request.subject.token, proven: at.proven }));
  const claims = mandate?.claims;
  const bound = await bindAuthority(deps, {
    zoneId: request.zoneId,
    applicationId: at.client.application.id,
    agentSessionId: inheritedId(claims?.agent_session_id, request.agentSessionId),
    delegationEdgeId: inheritedId(claims?.delegation_edge_id, request.delegationEdgeId),
    nowMs: at.nowMs,
    holdingBoundsPath: false,
    refusal: 'access_denied',
  });
  const own: readonly Above[] = claims ? [{ scopes: scopesOf(claims), resources: claims.target ?? [] }] : [];
  return {
    mandate,
    bound,
    bounds: [...own, ...bound.bounds],
    expiriesMs: [...(claims ? [claims.exp * 1000] : []), ...bound.expiriesMs],
    anchors: [
      { kind: 'application', id: at.client.application.id },
      { kind: 'subject', id: claims?.sub ?? at.client.application.id },
      { kind: 'zone', id: request.zoneId },
      ...(mandate ? deps.mandateReader.anchorsOf(mandate) : []),
      ...bindingAnchors(bound),
    ],
  };
}
