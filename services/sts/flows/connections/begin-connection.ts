// Starts an authorization-code connection (RFC 6749 §4.1.1) with PKCE (RFC 7636, S256): keeps what completing it will need,
// and says where to send the administrator's browser.
import { sha256, sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { FieldViolation } from '#mesh/failure';
import type { Provider } from '../../domain/directory.ts';
import { readAuthorizationSettings, type AuthorizationSettings } from '../../domain/provider-settings.ts';
import { recordCall, requireProvider, type ConnectionDeps, type ProviderCall } from './connection-deps.ts';

export interface BeginConnection extends ProviderCall {
  readonly providerId: string;
  /** '' for a connection of the whole zone. */
  readonly subject: string;
  readonly redirectUri: string;
  /** Only the same actor may complete. */
  readonly actorId: string;
}

export interface BegunConnection {
  readonly authorizationUrl: string;
  readonly state: string;
  readonly expiresAtMs: number;
}

/** Long enough to sign in and read a consent page, short enough that an abandoned attempt is soon worth nothing. */
const attemptSeconds = 600;
/** 256 bits: RFC 6749 §10.10 asks for 128 at least, RFC 7636 §7.1 for 256. */
const randomBytes = 32;

/** The settings of a provider that people connect to. @throws invalid_request. */
export function requireAuthorization(provider: Provider): AuthorizationSettings {
  const settings =
    provider.kind === 'oauth2_authorization_code' ? readAuthorizationSettings(provider.config) : undefined;
  if (!settings) {
    throw fail('invalid_request', { description: 'This provider is not one that people connect to.' });
  }
  return settings;
}

function problemsOf(settings: AuthorizationSettings, { subject, redirectUri }: BeginConnection): FieldViolation[] {
  const problems: FieldViolation[] = [];
  if (settings.holder === 'user' && !/^user:[^:]+:./.test(subject)) {
    problems.push({ path: 'subject', rule: 'the user the connection is for, as mandates name them' });
  }
  if (settings.holder === 'zone' && subject !== '') {
    problems.push({ path: 'subject', rule: 'none: this provider has one connection for the whole zone' });
  }
  // RFC 9700 §2.1: exact string comparison.
  if (!settings.redirectUris.includes(redirectUri)) {
    problems.push({ path: 'redirect_uri', rule: 'one of the provider’s redirect_uris, exactly' });
  }
  return problems;
}

function authorizationUrl(
  settings: AuthorizationSettings,
  request: { state: string; challenge: string; redirectUri: string },
): string {
  const { authorizationUrl: base, authorizationParams, clientId, scopes, audience, resources } = settings;
  const url = new URL(base);
  const params = {
    ...authorizationParams,
    ...(scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
    ...(audience === undefined ? {} : { audience }),
    response_type: 'code',
    client_id: clientId,
    redirect_uri: request.redirectUri,
    state: request.state,
    code_challenge: request.challenge,
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  for (const resource of resources) url.searchParams.append('resource', resource);
  return url.toString();
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

/** @throws invalid_request, not_found, rate_limited (too many attempts under way), store_unavailable, audit_unavailable. */
export async function beginConnection(deps: ConnectionDeps, begin: BeginConnection): Promise<BegunConnection> {
  const { zoneId, providerId, subject, redirectUri, actorId } = begin;
  const provider = await requireProvider(deps, zoneId, providerId);
  const settings = requireAuthorization(provider);
  const fields = problemsOf(settings, begin);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  const id = deps.newId();
  const state = base64url(deps.random(randomBytes));
  const verifier = base64url(deps.random(randomBytes));
  const location = { table: 'sts.connection_attempts', column: 'verifier_envelope', rowId: id };
  const attempt = {
    id,
    stateDigest: sha256Hex(state),
    providerId,
    subject,
    redirectUri,
    actorId,
    verifierEnvelope: deps.vault.seal(Buffer.from(verifier, 'utf8'), location),
  };
  const facts = { provider_id: providerId, subject: subject || undefined, actor_id: actorId };
  await recordCall(deps, begin, { type: 'connection.begun', facts });
  const expiresAtMs = deps.clock.now() + attemptSeconds * 1000;
  if (!(await deps.connectionAttempts.begin(zoneId, attempt, attemptSeconds))) {
    throw fail('rate_limited', {
      description: 'Too many connections are being made in this zone.',
      retryAfterMs: 60_000,
    });
  }
  const challenge = base64url(sha256(verifier));
  return { authorizationUrl: authorizationUrl(settings, { state, challenge, redirectUri }), state, expiresAtMs };
}
