// Last step: the mandate. Everything it rests on is checked against the anchors again in the very turn that signs, and
// its evidence is durable before it leaves.
import { fail } from '#mesh/failure';
import type { IdSource } from '#mesh/ids';
import type { AnchorRef, ConfirmationClaim, MandateClaims, SigningKey } from '#mesh/mandate';
import { lifetimeOf } from '../../domain/lifetime.ts';
import type { MandateUse } from '../../domain/lifetime.ts';
import { mandateClaims } from '../../domain/mandate.ts';
import type { MandateSigner, ZoneKeys } from '../../ports/mandate-issuing.ts';
import type { Revocations } from '../../ports/revocations.ts';
import type { SessionRecords } from '../../ports/session-records.ts';
import type { ApprovedHold } from '../resolve-hold.ts';
import type { Decided } from './decide.ts';
import type { AuthenticatedClient } from './authenticate-client.ts';
import type { Subject } from './validate-subject.ts';
import type { TokenRequest } from './token-request.ts';

export interface SignDeps {
  readonly zoneKeys: ZoneKeys;
  readonly mandateSigner: MandateSigner;
  readonly revocations: Revocations;
}

export interface MintDeps extends SignDeps {
  readonly issuer: string;
  readonly newId: IdSource;
  readonly sessionRecords: SessionRecords;
}

export interface Minted {
  readonly token: string;
  readonly claims: MandateClaims;
}

/** The zone's signing key, fetched last of all that is awaited. A zone without one can mint nothing. */
export async function requireSigningKey(deps: Pick<SignDeps, 'zoneKeys'>, zoneId: string): Promise<SigningKey> {
  const key = await deps.zoneKeys.signingKey(zoneId);
  if (!key) throw fail('internal_error', { privateDetail: 'zone_without_signing_key' });
  return key;
}

/** The key was chosen before; its window may have ended, or it may have been retired, since. Throws `store_unavailable`. */
export function assertMaySign(deps: Pick<SignDeps, 'zoneKeys' | 'revocations'>, zoneId: string, key: SigningKey): void {
  const retired = deps.revocations.refuses(zoneId, deps.revocations.applied(), [{ kind: 'zone_key', id: key.kid }]);
  // Another attempt signs with the key that took its place.
  if (retired || !deps.zoneKeys.maySign(key)) throw fail('store_unavailable', { privateDetail: 'signing_key_ended' });
}

/**
 * Signs, synchronously. `since` is the revocation number that was applied before anything the mandate rests on was read:
 * an anchor above it that hits one of `anchors` means that something ended meanwhile.
 */
export function signNow(
  deps: SignDeps,
  key: SigningKey,
  unsigned: {
    readonly claims: Omit<MandateClaims, 'rev'>;
    readonly anchors: readonly AnchorRef[];
    readonly since: number;
  },
): Minted {
  deps.revocations.assertUsable();
  const all: readonly AnchorRef[] = [...unsigned.anchors, { kind: 'zone_key', id: key.kid }];
  if (deps.revocations.refuses(unsigned.claims.zone_id, unsigned.since, all)) throw fail('token_revoked');
  assertMaySign(deps, unsigned.claims.zone_id, key);
  const claims: MandateClaims = { ...unsigned.claims, rev: deps.revocations.applied() };
  return { token: deps.mandateSigner.sign(claims, key), claims };
}

export interface MintAt {
  readonly client: AuthenticatedClient;
  readonly subject: Subject;
  readonly granted: readonly Decided[];
  /** The key the mandate is bound to; undefined makes it a bearer. */
  readonly confirmation: ConfirmationClaim | undefined;
  /** The approval this mint uses up; undefined when nothing was held. */
  readonly approval?: ApprovedHold | undefined;
  readonly nowMs: number;
  readonly since: number;
}

function lifetime(request: TokenRequest, use: MandateUse, at: MintAt): { issuedAt: number; expiresAt: number } {
  const grantsEndMs = at.granted.map(({ endsAtMs }) => endsAtMs);
  const boundsMs = [...at.subject.expiriesMs, at.client.application.expiresAtMs, ...grantsEndMs];
  const verdict = lifetimeOf({ use, requestedSeconds: request.ttlSeconds, nowMs: at.nowMs, boundsMs });
  if (verdict.kind === 'above_cap') {
    const rule = `at most ${verdict.capSeconds}`;
    throw fail('invalid_request', { fields: [{ path: 'ttl_seconds', rule }] });
  }
  if (verdict.kind === 'nothing_left') throw fail('access_denied', { privateDetail: 'nothing_left_to_live' });
  return verdict;
}

/** An ambient mint continues no record but its agent session's, and writes one row; a per_call mint writes nothing. */
async function sessionIds(deps: MintDeps, at: MintAt, expiresAt: number): Promise<{ sid: string; rootSid: string }> {
  const parent = at.subject.mandate?.claims;
  if (parent) return { sid: parent.sid, rootSid: parent.root_sid };
  const id = deps.newId();
  const { rootSid } = await deps.sessionRecords.insert({
    id,
    zoneId: at.client.zone.id,
    parentId: at.subject.bound.session?.sid,
    applicationId: at.client.application.id,
    ...at.subject.principal,
    agentSessionId: at.subject.bound.session?.id,
    expiresAtMs: expiresAt * 1000,
    subjectClaims: at.subject.userClaims,
  });
  return { sid: id, rootSid };
}

/** Checks the life that is left, before policy is asked, so that a request above the cap is refused for what it is. */
export function checkLifetime(request: TokenRequest, at: Omit<MintAt, 'granted'>): void {
  lifetime(request, at.subject.mandate ? 'per_call' : 'ambient', { ...at, granted: [] });
}

/** Mints what was granted. Nothing is released here: evidence comes next. */
export async function mint(deps: MintDeps, request: TokenRequest, at: MintAt): Promise<Minted> {
  const use: MandateUse = at.subject.mandate ? 'per_call' : 'ambient';
  const { issuedAt, expiresAt } = lifetime(request, use, at);
  const ids = await sessionIds(deps, at, expiresAt);
  await at.approval?.spend();
  const key = await requireSigningKey(deps, at.client.zone.id);
  const { principal, acting } = at.subject;
  const claims = mandateClaims({
    use,
    issuer: deps.issuer,
    zoneId: at.client.zone.id,
    clientId: at.client.application.id,
    ...principal,
    scopes: [...new Set(at.granted.flatMap(({ scopes }) => scopes))].toSorted(),
    targets: at.granted.filter(({ lifecycle }) => !lifecycle).map(({ identifier }) => identifier),
    ...ids,
    jti: deps.newId(),
    issuedAt,
    expiresAt,
    binding: at.subject.bound,
    confirmation: at.confirmation,
    holderId: acting?.holder.id,
    act: at.subject.act,
    mayAct: at.subject.mayAct,
  });
  const anchors: readonly AnchorRef[] = [
    ...at.subject.anchors,
    { kind: 'session', id: ids.sid },
    { kind: 'session', id: ids.rootSid },
  ];
  return signNow(deps, key, { claims, anchors, since: at.since });
}
