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
/** RFC 8693 §3. A mandate is a JWT, so its holder may call it either; an id token is only ever called that. */
const mandateTypes = new Set(['urn:ietf:params:oauth:token-type:access_token', 'urn:ietf:params:oauth:token-type:jwt']);
const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';
/** As many as one mandate can name (mesh/mandate limits). */
const maxResources = 64;
const maxResourceLength = 512;
/** Longest mandate any verifier reads. */
const maxTokenLength = 8192;
/** Longest id token that is looked at (domain/id-token.ts). */
const maxIdTokenLength = 16_384;

/** Ours have 43 characters. */
const maxChallengeSecret = 128;

/** Parameters of the standard or of later releases that would change the meaning of a request if they were ignored. */
const unsupported: Readonly<Record<string, FailureReason>> = {
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

  /** A type this server takes; undefined when absent. Without one a token is a mandate. */
  #tokenType(name: string, types: ReadonlySet<string>): string | undefined {
    const type = this.one(name);
    if (type !== undefined && !types.has(type)) this.refuse(name, 'a type that is exchanged here');
    return type;
  }

  subject(): TokenRequest['subject'] {
    const type = this.#tokenType('subject_token_type', new Set([...mandateTypes, idTokenType]));
    const isIdToken = type === idTokenType;
    const token = this.text('subject_token', isIdToken ? maxIdTokenLength : maxTokenLength);
    // A caller that names what it does not send would get more than it asked for.
    if (token === undefined && type !== undefined) this.refuse('subject_token', 'required with subject_token_type');
    return token === undefined ? undefined : { token, type: isIdToken ? 'id_token' : 'access_token' };
  }

  /** RFC 8693 §2.1: the type is required with the token and must not stand without it. */
  actorToken(): string | undefined {
    const token = this.text('actor_token', maxTokenLength);
    const type = this.#tokenType('actor_token_type', mandateTypes);
    if ((token === undefined) !== (type === undefined)) {
      this.refuse('actor_token_type', 'with actor_token, and only with it');
    }
    return token;
  }

  /** What is made here, whatever else is asked for. */
  requestedType(): void {
    this.#tokenType('requested_token_type', mandateTypes);
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

function checkGrant(reader: TokenFormReader): void {
  const grant = reader.one('grant_type');
  if (grant !== undefined && grant !== grantType) throw fail('unsupported_grant_type');
  if (grant === undefined) reader.refuse('grant_type', 'required');
  reader.requestedType();
}

/**
 * The request of the form and of the Authorization header beside it. Throws `invalid_request` with every field that breaks
 * a rule, or the reason of RFC 6749 §5.2.
 */
export function readTokenForm(form: URLSearchParams, authorization: string | undefined): TokenForm {
  refuseUnsupported(form);
  const reader = new TokenFormReader(form);
  checkGrant(reader);
  const asked = {
    zoneId: reader.requiredId('zone_id'),
    resources: reader.resources(),
    scopes: reader.scopes(),
    subject: reader.subject(),
    actorToken: reader.actorToken(),
    challenge: reader.challenge(),
    agentSessionId: reader.id('agent_session_id'),
    delegationEdgeId: reader.id('delegation_edge_id'),
    ttlSeconds: reader.wholeNumber('ttl_seconds', 'seconds'),
  };
  return { ...asked, ...readClient(reader, authorization) };
}
