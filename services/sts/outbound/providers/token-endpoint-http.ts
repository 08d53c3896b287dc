// Token requests over HTTP (RFC 6749 §4.1.3, §4.4.2, §6): the form, one second try where that can do no harm, and the
// circuit that leaves a failing provider alone.
import type { IdSource } from '#mesh/ids';
import type { Clock } from '#mesh/time';
import type { OAuthSettings } from '../../domain/provider-settings.ts';
import { readTokenAnswer } from '../../domain/token-answer.ts';
import type { Egress, EgressOutcome } from '../../ports/egress.ts';
import type { TokenEndpoint, TokenGrant, TokenOutcome, TokenRequest } from '../../ports/token-endpoint.ts';
import type { Vault } from '../../ports/vault.ts';
import { proveClient } from './client-authentication.ts';
import type { FailureBreaker } from './failure-breaker.ts';
import { openClientSecret } from './sealed-secrets.ts';

export interface TokenEndpointOptions {
  readonly egress: Egress;
  readonly vault: Pick<Vault, 'open'>;
  readonly breaker: FailureBreaker;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly newId: IdSource;
  /** From 0 up to 1, for jitter. */
  readonly random: () => number;
  readonly onRequest?: (outcome: TokenOutcome['kind']) => void;
}

const attempts = 2;
/** Around 100 ms, so that replicas do not return in step. */
const pauseMs = 100;

function grantFields(grant: TokenGrant): Readonly<Record<string, string>> {
  switch (grant.kind) {
    case 'client_credentials':
      return { grant_type: 'client_credentials' };
    case 'refresh_token':
      return { grant_type: 'refresh_token', refresh_token: grant.refreshToken };
    case 'authorization_code':
      return {
        grant_type: 'authorization_code',
        code: grant.code,
        redirect_uri: grant.redirectUri,
        code_verifier: grant.codeVerifier,
      };
  }
}

/** `proof` wins over what the configuration adds, and the grant over both. */
function formOf(settings: OAuthSettings, grant: TokenGrant, proof: Readonly<Record<string, string>>): string {
  const { scopes, audience, resources, tokenParams } = settings;
  // The scopes of a code were settled when it was asked for (RFC 6749 §4.1.3 has no such field).
  const scoped = grant.kind === 'client_credentials' && scopes.length > 0;
  const form = new URLSearchParams({
    ...tokenParams,
    ...(scoped ? { scope: scopes.join(' ') } : {}),
    ...(audience === undefined ? {} : { audience }),
    ...proof,
    ...grantFields(grant),
  });
  for (const resource of resources) form.append('resource', resource);
  return form.toString();
}

function outcomeOf(answer: EgressOutcome): TokenOutcome {
  if (answer.kind === 'answered') return readTokenAnswer(answer.status, answer.text);
  if (answer.fault === 'not_allowed') return { kind: 'forbidden', cause: answer.rule ?? 'not_allowed' };
  return { kind: 'unavailable', cause: answer.fault };
}

/**
 * A code or a refresh token that the provider may have used up is not shown to it again: a server that rotates would take
 * the second showing for theft and end the whole grant (RFC 9700 §4.14.2).
 */
function maybeUsedUp(answer: EgressOutcome): boolean {
  return answer.kind === 'failed' && answer.fault !== 'unreachable' && answer.fault !== 'crowded';
}

export function createTokenEndpoint(options: TokenEndpointOptions): TokenEndpoint {
  const { egress, vault, breaker, clock, newId, random } = options;

  async function ask({ zoneId, provider, settings, grant }: TokenRequest): Promise<TokenOutcome> {
    const clientSecret = openClientSecret(vault, provider, settings.clientAuthentication);
    for (let attempt = 1; ; attempt += 1) {
      // A new assertion for each try: its id is good once.
      const proof = await proveClient(settings, clientSecret, { nowMs: clock.now(), newId });
      const answer = await egress.request({
        zoneId,
        url: settings.tokenUrl,
        method: 'POST',
        headers: {
          accept: 'application/json',
          'content-type': 'application/x-www-form-urlencoded',
          ...proof.headers,
        },
        body: formOf(settings, grant, proof.fields),
      });
      const outcome = outcomeOf(answer);
      const again = grant.kind === 'client_credentials' || !maybeUsedUp(answer);
      if (outcome.kind !== 'unavailable' || attempt === attempts || !again) return outcome;
      await clock.sleep(pauseMs * (0.5 + random()));
    }
  }

  return {
    async request(request) {
      let outcome: TokenOutcome;
      try {
        outcome = await breaker.run(`${request.zoneId} ${request.provider.id}`, async () => ask(request));
      } catch {
        // The secret is missing, does not open or does not fit the way to prove the client: nothing was sent.
        outcome = { kind: 'forbidden', cause: 'client_cannot_be_proven' };
      }
      options.onRequest?.(outcome.kind);
      return outcome;
    },
  };
}
