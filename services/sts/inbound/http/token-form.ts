// Reads the form of the token endpoint (RFC 6749 §3.2, RFC 8693 §2.1): singletons once, an empty value as absent, what
// this server cannot do refused by name, what it does not know ignored. No value is ever repeated in an error.
import { isScopeToken, maxScopes, parseScope } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { FailureReason, FieldViolation } from '#mesh/failure';
import { isTextId } from '#mesh/ids';
import type { TokenRequest } from '../../flows/exchange-token/token-request.ts';

/** What the form says; who asked and with what proof stands outside of it. */
export type TokenForm = Omit<TokenRequest, 'asked' | 'source' | 'proof'>;

export const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const tokenTypes = new Set(['urn:ietf:params:oauth:token-type:access_token', 'urn:ietf:params:oauth:token-type:jwt']);
/** As many as one mandate can name (mesh/mandate limits). */
const maxResources = 64;
const maxResourceLength = 512;
/** Longest mandate any verifier reads. */
const maxTokenLength = 8192;
/** Our secrets have 58 characters; anything near this is junk and is refused by its check part. */
const maxSecretLength = 512;

/** Parameters of the standard or of later releases that would change the meaning of a request if they were ignored. */
const unsupported: Readonly<Record<string, FailureReason>> = {
  actor_token: 'invalid_request',
  actor_token_type: 'invalid_request',
  client_assertion: 'invalid_client',
  client_assertion_type: 'invalid_client',
  session_id: 'invalid_request',
  challenge_id: 'invalid_request',
  challenge_response: 'invalid_request',
  approval_id: 'invalid_request',
  audience: 'invalid_target',
};

/** What HTTP Basic carried (RFC 6749 §2.3.1). */
export interface BasicCredentials {
  readonly id: string;
  readonly secret: string;
}

/** Collects what is wrong, so that a caller sees all of it at once. */
class FormReader {
  readonly violations: FieldViolation[] = [];
  readonly #form: URLSearchParams;

  constructor(form: URLSearchParams) {
    this.#form = form;
  }

  refuse(path: string, rule: string): void {
    this.violations.push({ path, rule });
  }

  /** The one value; undefined when absent or empty. */
  one(name: string): string | undefined {
    const values = this.#form.getAll(name);
    if (values.length > 1) this.refuse(name, 'at most once');
    const [value] = values;
    return value === undefined || value === '' ? undefined : value;
  }

  id(name: string): string | undefined {
    const value = this.one(name);
    if (value !== undefined && !isTextId(value)) this.refuse(name, '1 to 128 of A-Z a-z 0-9 _ . : -');
    return value;
  }

  text(name: string, maxLength: number): string | undefined {
    const value = this.one(name);
    if (value !== undefined && value.length > maxLength) this.refuse(name, `at most ${maxLength} characters`);
    return value;
  }

  resources(): readonly string[] {
    const values = [...new Set(this.#form.getAll('resource').filter((value) => value !== ''))];
    if (values.length > maxResources) this.refuse('resource', `at most ${maxResources} times`);
    for (const [index, value] of values.entries()) {
      // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
      if (value.length > maxResourceLength || /[\u0000-\u001f\u007f]/.test(value) || !value.isWellFormed()) {
        this.refuse(`resource[${index}]`, `at most ${maxResourceLength} characters, none of them control characters`);
      }
    }
    return values.slice(0, maxResources);
  }

  scopes(): readonly string[] | undefined {
    const value = this.one('scope');
    if (value === undefined) return undefined;
    const scopes = parseScope(value);
    if (!scopes?.every(isScopeToken))
      throw fail('invalid_scope', { description: `At most ${maxScopes} scope tokens, separated by one space.` });
    return scopes;
  }

  ttlSeconds(): number | undefined {
    const value = this.one('ttl_seconds');
    if (value === undefined) return undefined;
    if (!/^\d{1,9}$/.test(value)) this.refuse('ttl_seconds', 'a whole number of seconds');
    return Number(value);
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

interface Client {
  readonly applicationId: string;
  readonly clientSecret: string;
}

/** RFC 6749 §2.3: one method of authentication per request, and one name for the client. */
function readClient(reader: FormReader, basic: BasicCredentials | undefined): Client {
  const formSecret = reader.one('client_secret');
  if (basic && formSecret !== undefined) {
    throw fail('invalid_request', { description: 'The client authenticates once: in the form or with HTTP Basic.' });
  }
  const names = [reader.id('application_id'), reader.id('client_id'), basic?.id].filter((name) => name !== undefined);
  if (new Set(names).size > 1) reader.refuse('application_id', 'the same wherever the client is named');
  const [applicationId] = names;
  if (applicationId === undefined) reader.refuse('application_id', 'required');
  return { applicationId: applicationId ?? '', clientSecret: basic?.secret ?? formSecret ?? '' };
}

/** The request of the form. Throws `invalid_request` with every field that breaks a rule, or the reason of RFC 6749 §5.2. */
export function readTokenForm(form: URLSearchParams, basic: BasicCredentials | undefined): TokenForm {
  refuseUnsupported(form);
  const reader = new FormReader(form);
  checkGrant(reader);
  const client = readClient(reader, basic);
  const zoneId = reader.id('zone_id');
  if (zoneId === undefined) reader.refuse('zone_id', 'required');
  const subjectToken = reader.text('subject_token', maxTokenLength);
  const { applicationId, clientSecret } = client;
  const read: TokenForm = {
    zoneId: zoneId ?? '',
    applicationId,
    credential: { kind: 'secret', secret: clientSecret },
    resources: reader.resources(),
    scopes: reader.scopes(),
    subject: subjectToken === undefined ? undefined : { token: subjectToken, type: 'access_token' },
    actorToken: undefined,
    challenge: undefined,
    agentSessionId: reader.id('agent_session_id'),
    delegationEdgeId: reader.id('delegation_edge_id'),
    ttlSeconds: reader.ttlSeconds(),
  };
  if (reader.violations.length > 0) throw fail('invalid_request', { fields: reader.violations });
  if (clientSecret === '' || clientSecret.length > maxSecretLength || !isTextId(applicationId)) {
    throw fail('invalid_client', { privateDetail: 'no_usable_secret' });
  }
  return read;
}

function formDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are joined. Undefined without an Authorization header. */
export function readBasic(header: string | undefined): BasicCredentials | undefined {
  if (header === undefined) return undefined;
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  const decoded = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  const id = colon < 0 ? undefined : formDecoded(decoded.slice(0, colon));
  const secret = colon < 0 ? undefined : formDecoded(decoded.slice(colon + 1));
  if (id === undefined || secret === undefined) throw fail('invalid_client', { privateDetail: 'malformed_basic' });
  return { id, secret };
}
