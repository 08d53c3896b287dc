// How a client says who it is (RFC 6749 §2.3, RFC 7521 §4.2): a secret in the form, a secret over HTTP Basic, or a signed
// assertion. One method and one name per request, the same for every endpoint a client authenticates at.
import { fail } from '#mesh/failure';
import { isTextId } from '#mesh/ids';
import type { ClientCredential } from '../../flows/exchange-token/authenticate-client.ts';
import type { FormReader } from './form-reader.ts';

export interface PresentedClient {
  readonly applicationId: string;
  readonly credential: ClientCredential;
}

/** RFC 7523 §2.2. */
export const clientAssertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** Our secrets have 58 characters; anything near this is junk and is refused by its check part. */
const maxSecretLength = 512;
/** Room for an RSA-4096 signature and a generous payload; the form as a whole is bounded at 64 KiB. */
const maxAssertionLength = 8192;

/** What HTTP Basic carried. */
interface BasicCredentials {
  readonly id: string;
  readonly secret: string;
}

function formDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are joined. Undefined without an Authorization header. */
function readBasic(header: string | undefined): BasicCredentials | undefined {
  if (header === undefined) return undefined;
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  const decoded = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  const id = colon < 0 ? undefined : formDecoded(decoded.slice(0, colon));
  const secret = colon < 0 ? undefined : formDecoded(decoded.slice(colon + 1));
  if (id === undefined || secret === undefined) throw fail('invalid_client', { privateDetail: 'malformed_basic' });
  return { id, secret };
}

/** Whom an assertion speaks of, by its own unverified word: RFC 7521 §4.2 lets it stand in for `client_id`. */
function claimedSubject(assertion: string): string | undefined {
  const payload = assertion.split('.')[1] ?? '';
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || !('sub' in claims)) return undefined;
    return typeof claims.sub === 'string' ? claims.sub : undefined;
  } catch {
    return undefined;
  }
}

function readAssertion(reader: FormReader): string | undefined {
  const assertion = reader.text('client_assertion', maxAssertionLength);
  const type = reader.one('client_assertion_type');
  if (assertion !== undefined && type === undefined) reader.refuse('client_assertion_type', 'required');
  if (assertion === undefined && type !== undefined) reader.refuse('client_assertion', 'required');
  if (type !== undefined && type !== clientAssertionType) {
    throw fail('invalid_client', { privateDetail: 'unknown_assertion_type' });
  }
  return assertion;
}

/** `fallback` names the client where nothing else does. */
function nameOf(reader: FormReader, basicId: string | undefined, fallback?: string): string {
  const named = [reader.id('application_id'), reader.id('client_id'), basicId].filter((name) => name !== undefined);
  if (new Set(named).size > 1) reader.refuse('application_id', 'the same wherever the client is named');
  const applicationId = named[0] ?? fallback;
  if (applicationId === undefined) reader.refuse('application_id', 'required');
  return applicationId ?? '';
}

/**
 * The client and what it authenticates with. Call it once the other fields are read: what was found wrong with any of them
 * is thrown here. Throws `invalid_request` for two methods at once, `invalid_client` for none or for one nobody could
 * verify.
 */
export function readClient(reader: FormReader, authorization: string | undefined): PresentedClient {
  const basic = readBasic(authorization);
  const formSecret = reader.one('client_secret');
  const assertion = readAssertion(reader);
  if ([basic, formSecret, assertion].filter((method) => method !== undefined).length > 1) {
    throw fail('invalid_request', { description: 'A client authenticates by one method only.' });
  }
  const applicationId = nameOf(reader, basic?.id, assertion === undefined ? undefined : claimedSubject(assertion));
  reader.assertClean();
  if (!isTextId(applicationId)) throw fail('invalid_client', { privateDetail: 'no_usable_name' });
  if (assertion !== undefined) return { applicationId, credential: { kind: 'assertion', assertion } };
  const secret = basic?.secret ?? formSecret ?? '';
  if (secret === '' || secret.length > maxSecretLength) {
    throw fail('invalid_client', { privateDetail: 'no_usable_secret' });
  }
  return { applicationId, credential: { kind: 'secret', secret } };
}
