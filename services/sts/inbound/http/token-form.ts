// Reads the form of the token endpoint (RFC 6749 §3.2, RFC 8693 §2.1): singletons once, an empty value as absent, what
// this server cannot do refused by name, what it does not know ignored. No value is ever repeated in an error.
import { isScopeToken, maxScopes, parseScope } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import type { TokenRequest } from '../../flows/exchange-token/token-request.ts';
import { readClient } from './client-form.ts';
import { FormReader } from './form-reader.ts';

/** What the form says; who asked and with what proof stands outside of it. */
export type TokenForm = Omit<TokenRequest, 'asked' | 'source' | 'proof'>;

export const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const tokenTypes = new Set(['urn:ietf:params:oauth:token-type:access_token', 'urn:ietf:params:oauth:token-type:jwt']);
/** As many as one mandate can name (mesh/mandate limits). */
const maxResources = 64;
const maxResourceLength = 512;
/** Longest mandate any verifier reads. */
const maxTokenLength = 8192;

/** Ours have 43 characters. */
const maxChallengeSecret = 128;

/** Parameters of the standard or of later releases that would change the meaning of a request if they were ignored. */
const unsupported: Readonly<Record<string, FailureReason>> = {
  actor_token: 'invalid_request',
  actor_token_type: 'invalid_request',
  session_id: 'invalid_request',
  approval_id: 'invalid_request',
  audience: 'invalid_target',
};

/** The fields that only the token endpoint has. */
class TokenFormReader extends FormReader {
  resources(): readonly string[] {
    const values = [...new Set(this.all('resource'))];
    if (values.length > maxResources) this.refuse('resource', `at most ${maxResources} times`);
    for (const [index, value] of values.entries()) {
      // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
      if (value.length > maxResourceLength || /[\u0000-\u001f\u007f]/.test(value) || !value.isWellFormed()) {
        this.refuse(`resource[${index}]`, `at most ${maxResourceLength} characters, none of them control characters`);
      }
    }
    return values.slice(0, maxResources);
  }

  /** An approval with the secret that came with its challenge; the one says nothing without the other. */
  challenge(): TokenRequest['challenge'] {
    const id = this.id('challenge_id');
    const named = ['challenge_response', 'challenge_secret'].map((name) => this.text(name, maxChallengeSecret));
    const [secret, other] = named.filter((value) => value !== undefined);
    if (other !== undefined) this.refuse('challenge_secret', 'not beside challenge_response');
    if ((id === undefined) !== (secret === undefined)) this.refuse('challenge_response', 'together with challenge_id');
    return id === undefined || secret === undefined ? undefined : { id, secret };
  }

  scopes(): readonly string[] | undefined {
    const value = this.one('scope');
    if (value === undefined) return undefined;
    const scopes = parseScope(value);
    if (!scopes?.every(isScopeToken))
      throw fail('invalid_scope', { description: `At most ${maxScopes} scope tokens, separated by one space.` });
    return scopes;
  }
}

function refuseUnsupported(form: URLSearchParams): void {
  for (const [name, reason] of Object.entries(unsupported)) {
    if (form.getAll(name).some((value) => value !== '')) {
      throw fail(reason, { description: `The parameter ${name} is not supported.` });
    }
  }
}

function checkGrant(reader: FormReader): void {
  const grant = reader.one('grant_type');
  if (grant !== undefined && grant !== grantType) throw fail('unsupported_grant_type');
  if (grant === undefined) reader.refuse('grant_type', 'required');
  for (const name of ['subject_token_type', 'requested_token_type']) {
    const type = reader.one(name);
    if (type !== undefined && !tokenTypes.has(type)) reader.refuse(name, 'only access tokens are exchanged');
  }
}

/**
 * The request of the form and of the Authorization header beside it. Throws `invalid_request` with every field that breaks
 * a rule, or the reason of RFC 6749 §5.2.
 */
export function readTokenForm(form: URLSearchParams, authorization: string | undefined): TokenForm {
  refuseUnsupported(form);
  const reader = new TokenFormReader(form);
  checkGrant(reader);
  const subjectToken = reader.text('subject_token', maxTokenLength);
  const asked = {
    zoneId: reader.requiredId('zone_id'),
    resources: reader.resources(),
    scopes: reader.scopes(),
    subject: subjectToken === undefined ? undefined : { token: subjectToken, type: 'access_token' as const },
    actorToken: undefined,
    challenge: reader.challenge(),
    agentSessionId: reader.id('agent_session_id'),
    delegationEdgeId: reader.id('delegation_edge_id'),
    ttlSeconds: reader.wholeNumber('ttl_seconds', 'seconds'),
  };
  return { ...asked, ...readClient(reader, authorization) };
}
