// Obtains a credential as a governed call would, says whether that went well and how long it took, and keeps nothing.
import { asFailure, fail } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import type { Provider } from '../../domain/directory.ts';
import { isHeaderValue, planInjection } from '../../domain/injection.ts';
import { readOAuthSettings } from '../../domain/provider-settings.ts';
import type { ObtainedCredential } from '../../ports/provider-credentials.ts';
import { recordCall, requireProvider, type ConnectionDeps, type ProviderCall } from './connection-deps.ts';

export interface TestProvider extends ProviderCall {
  readonly providerId: string;
  /** The user whose connection is tested; '' for the whole zone's. */
  readonly subject: string;
}

export interface ProviderTested {
  /** Undefined when it went well. */
  readonly reason: FailureReason | undefined;
  readonly description: string;
  readonly elapsedMs: number;
  readonly expiresAtMs: number | undefined;
}

/** A client's own token is asked for anew, past what is held: a test that answers from memory would test nothing. */
async function askAnew(deps: ConnectionDeps, zoneId: string, provider: Provider): Promise<ObtainedCredential> {
  const settings = readOAuthSettings(provider.config);
  if (!settings) throw fail('credential_not_releasable', { privateDetail: 'misconfigured' });
  const askedAtMs = deps.clock.now();
  const outcome = await deps.tokenEndpoint.request({
    zoneId,
    provider,
    settings,
    grant: { kind: 'client_credentials' },
  });
  switch (outcome.kind) {
    case 'granted': {
      const { accessToken, expiresInSeconds } = outcome.tokens;
      const expiresAtMs = expiresInSeconds === undefined ? undefined : askedAtMs + expiresInSeconds * 1000;
      return { secret: accessToken, expiresAtMs };
    }
    case 'refused':
      throw fail('credential_not_provisioned', {
        description: `The provider refused the client: ${outcome.error}.`,
        privateDetail: outcome.error,
      });
    case 'forbidden':
      throw fail('credential_not_releasable', {
        description: 'The token endpoint may not be called, or the client cannot be proven there.',
        privateDetail: outcome.cause,
      });
    case 'unavailable':
      throw fail('provider_unavailable', { privateDetail: outcome.cause });
  }
}

async function obtain(deps: ConnectionDeps, { zoneId, subject }: TestProvider, provider: Provider) {
  const planned = planInjection(provider);
  if (planned.kind !== 'planned') throw fail('credential_not_releasable', { privateDetail: planned.kind });
  const { plan } = planned;
  const obtained =
    plan.kind === 'oauth2_client_credentials'
      ? await askAnew(deps, zoneId, provider)
      : await deps.providerCredentials.obtain({
          zoneId,
          provider,
          subject,
          subjectType: subject === '' ? 'application' : 'user',
        });
  const empty = plan.kind === 'none' || plan.kind === 'caracal_mandate';
  if (!empty && !isHeaderValue(plan.prefix + obtained.secret)) {
    throw fail('credential_not_releasable', { privateDetail: 'not_a_header_value' });
  }
  return obtained;
}

/** @throws not_found, store_unavailable, audit_unavailable; what the provider did is the answer. */
export async function testProvider(deps: ConnectionDeps, test: TestProvider): Promise<ProviderTested> {
  const provider = await requireProvider(deps, test.zoneId, test.providerId);
  const startedAtMs = deps.clock.monotonic();
  let reason: FailureReason | undefined;
  let description = '';
  let cause: string | undefined;
  let expiresAtMs: number | undefined;
  try {
    ({ expiresAtMs } = await obtain(deps, test, provider));
  } catch (error) {
    const failure = asFailure(error);
    ({ reason, description, privateDetail: cause } = failure);
  }
  const elapsedMs = Math.round(deps.clock.monotonic() - startedAtMs);
  const facts = {
    provider_id: provider.id,
    subject: test.subject || undefined,
    ok: reason === undefined,
    reason,
    cause,
  };
  await recordCall(deps, test, { type: 'provider.tested', facts: { ...facts, elapsed_ms: elapsedMs } });
  return { reason, description, elapsedMs, expiresAtMs };
}
