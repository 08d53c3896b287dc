// Last step of an allowed call: what the upstream gets. Credentials are opened here, for this answer, and kept nowhere.
import { fail } from '#mesh/failure';
import type { IdSource } from '#mesh/ids';
import type { SigningKey } from '#mesh/mandate';
import type { Provider } from '../../domain/directory.ts';
import { isHeaderValue, planInjection } from '../../domain/injection.ts';
import type { InjectionPlan } from '../../domain/injection.ts';
import { upstreamClaims } from '../../domain/mandate.ts';
import type { MandateSigner, ZoneKeys } from '../../ports/mandate-issuing.ts';
import type { Revocations } from '../../ports/revocations.ts';
import type { Vault } from '../../ports/vault.ts';
import { requireSigningKey } from '../exchange-token/mint.ts';
import type { Injection } from './call-question.ts';
import type { KnownCall } from './verify-mandate.ts';

export interface ReleaseDeps {
  readonly newId: IdSource;
  readonly vault: Pick<Vault, 'open'>;
  readonly zoneKeys: ZoneKeys;
  readonly mandateSigner: MandateSigner;
  readonly revocations: Revocations;
}

/** Everything awaited for the release; the rest happens in one turn. */
export interface PreparedRelease {
  readonly plan: InjectionPlan;
  readonly provider: Provider | undefined;
  readonly key: SigningKey | undefined;
}

/** Plans the injection and fetches the signing key when one is needed. Throws `credential_not_releasable`. */
export async function prepareRelease(
  deps: ReleaseDeps,
  call: KnownCall,
  provider: Provider | undefined,
): Promise<PreparedRelease> {
  const verdict = planInjection(provider);
  if (verdict.kind !== 'planned') throw fail('credential_not_releasable', { privateDetail: verdict.kind });
  const { plan } = verdict;
  const needsKey = plan.kind === 'caracal_mandate' || plan.identity;
  const key = needsKey ? await requireSigningKey(deps, call.zone.id) : undefined;
  return { plan, provider, key };
}

function openSecret(deps: ReleaseDeps, provider: Provider | undefined): string {
  const [secret] = provider?.secrets ?? [];
  if (!secret || provider?.secrets.length !== 1)
    throw fail('credential_not_releasable', { privateDetail: 'no_single_secret' });
  const location = { table: 'api.provider_secrets', column: 'envelope', rowId: secret.rowId };
  const opened = deps.vault.open(secret.envelope, location);
  return Buffer.from(opened).toString('utf8');
}

/** The 60-second mandate for this upstream, signed in the calling turn; the caller has just checked the anchors. */
function upstreamMandate(
  deps: ReleaseDeps,
  call: KnownCall,
  about: { key: SigningKey; scopes: readonly string[] },
): { token: string; expiresAtMs: number } {
  const { identifier } = call.resource;
  const at = { resource: identifier, scopes: about.scopes, jti: deps.newId(), nowMs: call.nowMs };
  const claims = { ...upstreamClaims(call.mandate.claims, at), rev: deps.revocations.applied() };
  return { token: deps.mandateSigner.sign(claims, about.key), expiresAtMs: claims.exp * 1000 };
}

/** Opens or signs, synchronously. */
export function release(
  deps: ReleaseDeps,
  call: KnownCall,
  from: PreparedRelease & { readonly scopes: readonly string[] },
): Injection {
  const { plan, provider, key, scopes } = from;
  const signed = key ? upstreamMandate(deps, call, { key, scopes }) : undefined;
  const identityMandate = plan.identity && signed ? signed.token : '';
  const known = signed?.expiresAtMs ?? 0;
  if (plan.kind === 'none') return { headerName: '', headerValue: '', identityMandate, expiresAtMs: known };
  const credential = plan.kind === 'caracal_mandate' ? (signed?.token ?? '') : openSecret(deps, provider);
  const headerValue = plan.prefix + credential;
  if (!isHeaderValue(headerValue) || credential === '') {
    throw fail('credential_not_releasable', { privateDetail: 'not_a_header_value' });
  }
  return { headerName: plan.headerName, headerValue, identityMandate, expiresAtMs: known };
}
