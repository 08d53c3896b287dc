// Last step of an allowed call: what the upstream gets. Credentials are obtained for this answer and kept nowhere.
import { fail } from '#mesh/failure';
import type { IdSource } from '#mesh/ids';
import type { SigningKey } from '#mesh/mandate';
import type { Provider } from '../../domain/directory.ts';
import { isHeaderValue, planInjection } from '../../domain/injection.ts';
import type { InjectionPlan } from '../../domain/injection.ts';
import { upstreamClaims } from '../../domain/mandate.ts';
import { isAllowedHost } from '../../domain/provider-settings.ts';
import type { MandateSigner, ZoneKeys } from '../../ports/mandate-issuing.ts';
import type { ObtainedCredential, ProviderCredentials } from '../../ports/provider-credentials.ts';
import type { Revocations } from '../../ports/revocations.ts';
import { assertMaySign, requireSigningKey } from '../exchange-token/mint.ts';
import type { Injection } from './call-question.ts';
import type { KnownCall } from './verify-mandate.ts';

export interface ReleaseDeps {
  readonly newId: IdSource;
  readonly providerCredentials: ProviderCredentials;
  readonly zoneKeys: ZoneKeys;
  readonly mandateSigner: MandateSigner;
  readonly revocations: Revocations;
}

/** Everything awaited for the release; the rest happens in one turn. */
export interface PreparedRelease {
  readonly plan: InjectionPlan;
  readonly credential: ObtainedCredential | undefined;
  readonly key: SigningKey | undefined;
}

/**
 * Plans the injection, obtains the credential and the signing key where they are needed. Throws
 * `credential_not_releasable`, `credential_not_provisioned` and `provider_unavailable`.
 */
export async function prepareRelease(
  deps: ReleaseDeps,
  call: KnownCall,
  provider: Provider | undefined,
): Promise<PreparedRelease> {
  const verdict = planInjection(provider);
  if (verdict.kind !== 'planned') throw fail('credential_not_releasable', { privateDetail: verdict.kind });
  const { plan } = verdict;
  const needsKey = plan.kind === 'caracal_mandate' || plan.identity;
  // The Gateway asks the same of the address it dials; a credential that may not go there need not leave at all.
  if (plan.allowedHosts.length > 0 && !isAllowedHost(call.resource.upstreamUrl, plan.allowedHosts)) {
    throw fail('credential_not_releasable', { privateDetail: 'upstream_host_not_allowed' });
  }
  const [key, credential] = await Promise.all([
    needsKey ? requireSigningKey(deps, call.zone.id) : undefined,
    provider && plan.kind !== 'none' && plan.kind !== 'caracal_mandate' ? obtain(deps, call, provider) : undefined,
  ]);
  return { plan, credential, key };
}

/** For the subject of the mandate, whoever acts for them: a user's own connection is the user's. */
async function obtain(
  deps: ReleaseDeps,
  { zone, mandate }: KnownCall,
  provider: Provider,
): Promise<ObtainedCredential> {
  const { sub: subject, sub_type: subjectType } = mandate.claims;
  return deps.providerCredentials.obtain({ zoneId: zone.id, provider, subject, subjectType });
}

/** The 60-second mandate for this upstream, signed in the calling turn; the caller has just checked the anchors. */
function upstreamMandate(
  deps: ReleaseDeps,
  call: KnownCall,
  about: { key: SigningKey; scopes: readonly string[] },
): Signed {
  const { identifier } = call.resource;
  assertMaySign(deps, call.zone.id, about.key);
  const at = { resource: identifier, scopes: about.scopes, jti: deps.newId(), nowMs: call.nowMs };
  const claims = { ...upstreamClaims(call.mandate.claims, at), rev: deps.revocations.applied() };
  return { token: deps.mandateSigner.sign(claims, about.key), expiresAtMs: claims.exp * 1000 };
}

interface Signed {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** What every injection has; 0 when nothing of it expires. */
function bare({ plan, credential }: PreparedRelease, signed: Signed | undefined): Injection {
  const expiries = [signed?.expiresAtMs, credential?.expiresAtMs].filter((ms) => ms !== undefined);
  const expiresAtMs = expiries.length === 0 ? 0 : Math.min(...expiries);
  const identityMandate = plan.identity && signed ? signed.token : '';
  return { headerName: '', headerValue: '', queryName: '', queryValue: '', identityMandate, expiresAtMs };
}

function secretOf({ plan, credential }: PreparedRelease, signed: Signed | undefined): string {
  const secret = plan.kind === 'caracal_mandate' ? signed?.token : credential?.secret;
  const value = plan.prefix + (secret ?? '');
  if (secret === undefined || secret === '' || !isHeaderValue(value)) {
    throw fail('credential_not_releasable', { privateDetail: 'not_a_header_value' });
  }
  return value;
}

/** Signs and puts together, synchronously. */
export function release(
  deps: ReleaseDeps,
  call: KnownCall,
  from: PreparedRelease & { readonly scopes: readonly string[] },
): Injection {
  const { plan, key, scopes } = from;
  const signed = key ? upstreamMandate(deps, call, { key, scopes }) : undefined;
  const injection = bare(from, signed);
  if (plan.kind === 'none') return injection;
  const value = secretOf(from, signed);
  if (plan.queryName !== '') return { ...injection, queryName: plan.queryName, queryValue: value };
  return { ...injection, headerName: plan.headerName, headerValue: value };
}
