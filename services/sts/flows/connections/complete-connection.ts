// Redeems the code that a provider sent back (RFC 6749 §4.1.3). The state is good once and only for the administrator who
// began; the answer must be that provider's (RFC 9207); the tokens are sealed and stored, and nobody sees them.
import { sha256Hex } from '#mesh/canonical';
import { asFailure, fail } from '#mesh/failure';
import { tokenExpiryMs } from '../../domain/connection.ts';
import type { Provider } from '../../domain/directory.ts';
import type { AuthorizationSettings } from '../../domain/provider-settings.ts';
import type { GrantedTokens } from '../../domain/token-answer.ts';
import type { ConnectionAttempt } from '../../ports/connections.ts';
import { requireAuthorization } from './begin-connection.ts';
import { recordCall, requireProvider, type ConnectionDeps, type ProviderCall } from './connection-deps.ts';

export interface CompleteConnection extends ProviderCall {
  readonly state: string;
  readonly code: string;
  /** `iss` of the authorization response; '' when it had none. */
  readonly issuer: string;
  readonly actorId: string;
}

export interface CompletedConnection {
  readonly connectionId: string;
  readonly providerId: string;
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly expiresAtMs: number | undefined;
}

/**
 * RFC 9207 §2.4. A server that is configured with its issuer must name it, and no other may be named; one that names an
 * issuer we do not know could be another than the one the code is about to be sent to.
 */
function checkIssuer({ issuer }: AuthorizationSettings, given: string): void {
  if (given === (issuer ?? '')) return;
  throw fail('invalid_request', {
    fields: [{ path: 'iss', rule: 'the issuer that the provider is configured with, exactly' }],
    privateDetail: 'issuer_mismatch',
  });
}

async function redeem(
  deps: ConnectionDeps,
  { zoneId, code }: CompleteConnection,
  about: { provider: Provider; settings: AuthorizationSettings; attempt: ConnectionAttempt },
): Promise<GrantedTokens> {
  const { provider, settings, attempt } = about;
  const location = { table: 'sts.connection_attempts', column: 'verifier_envelope', rowId: attempt.id };
  const codeVerifier = Buffer.from(deps.vault.open(attempt.verifierEnvelope, location)).toString('utf8');
  const { redirectUri } = attempt;
  const outcome = await deps.tokenEndpoint.request({
    zoneId,
    provider,
    settings,
    grant: { kind: 'authorization_code', code, redirectUri, codeVerifier },
  });
  switch (outcome.kind) {
    case 'granted':
      return outcome.tokens;
    case 'refused':
      throw fail('invalid_request', {
        description: `The provider refused the code: ${outcome.error}.`,
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

async function complete(
  deps: ConnectionDeps,
  call: CompleteConnection,
  attempt: ConnectionAttempt,
): Promise<CompletedConnection> {
  const { zoneId } = call;
  const { providerId, subject } = attempt;
  const provider = await requireProvider(deps, zoneId, providerId);
  const settings = requireAuthorization(provider);
  checkIssuer(settings, call.issuer);
  // What was allowed when it began may have been taken back.
  if (!settings.redirectUris.includes(attempt.redirectUri)) {
    throw fail('invalid_request', { description: 'The redirect address is no longer one of the provider’s.' });
  }
  const askedAtMs = deps.clock.now();
  const tokens = await redeem(deps, call, { provider, settings, attempt });
  const { accessToken, refreshToken, expiresInSeconds, scopes = settings.scopes } = tokens;
  const renewable = refreshToken !== undefined;
  const expiresAtMs = tokenExpiryMs({ askedAtMs, expiresInSeconds, capSeconds: deps.maxGrantTtlSeconds, renewable });
  const connectionId = deps.newId();
  const facts = { provider_id: providerId, connection_id: connectionId, subject: subject || undefined };
  await recordCall(deps, call, {
    type: 'connection.completed',
    facts: { ...facts, actor_id: call.actorId, renewable },
  });
  const kept = { accessToken, refreshToken, providerVersion: provider.version, expiresAtMs, scopes };
  await deps.connections.replace({ zoneId, providerId, subject }, connectionId, kept);
  return { connectionId, providerId, subject, scopes, expiresAtMs };
}

/** @throws invalid_request, not_found, provider_unavailable, credential_not_releasable, store_unavailable, audit_unavailable. */
export async function completeConnection(deps: ConnectionDeps, call: CompleteConnection): Promise<CompletedConnection> {
  const { zoneId, state, actorId } = call;
  let attempt: ConnectionAttempt | undefined;
  try {
    attempt = await deps.connectionAttempts.take(zoneId, { stateDigest: sha256Hex(state), actorId });
    if (!attempt) {
      throw fail('invalid_request', {
        fields: [{ path: 'state', rule: 'of a connection you have begun, within ten minutes, once' }],
        privateDetail: 'unknown_state',
      });
    }
    return await complete(deps, call, attempt);
  } catch (error) {
    const { reason, privateDetail } = asFailure(error);
    const facts = { provider_id: attempt?.providerId, actor_id: actorId, reason, cause: privateDetail };
    await recordCall(deps, call, { type: 'connection.refused', facts });
    throw error;
  }
}
