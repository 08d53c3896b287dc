// What anyone may read: a zone's public keys, and where the token endpoint is (RFC 8414).
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { ZoneJwk } from '#mesh/mandate';
import { assertionAlgorithms } from '../domain/client-assertion.ts';
import type { Directory } from '../ports/directory.ts';
import type { ZoneKeys } from '../ports/mandate-issuing.ts';

export interface PublishDeps {
  readonly issuer: string;
  /** What proofs of possession may be signed with. */
  readonly proofAlgorithms: readonly string[];
  readonly directory: Pick<Directory, 'zone'>;
  readonly zoneKeys: Pick<ZoneKeys, 'published'>;
}

/**
 * The zone's JWK set (RFC 7517 §5); `not_found` for a zone that does not exist. A reader that has met a key it does not know
 * names it, and gets what is true now.
 */
export async function zoneJwks(
  deps: Pick<PublishDeps, 'directory' | 'zoneKeys'>,
  zoneId: string,
  wantedKid?: string,
): Promise<{ keys: readonly ZoneJwk[] }> {
  const zone = await deps.directory.zone(zoneId);
  const keys = zone && (await deps.zoneKeys.published(zoneId, wantedKid));
  if (!keys) throw fail('not_found');
  return { keys };
}

/** One list for three endpoints: a client authenticates the same way at each of them. */
function authentication(endpoint: string): JsonObject {
  return {
    [`${endpoint}_endpoint_auth_methods_supported`]: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    [`${endpoint}_endpoint_auth_signing_alg_values_supported`]: [...assertionAlgorithms],
  };
}

/** RFC 8414 §2; the members of RFC 9449 §5.1 and RFC 8705 §3.3 beside it. What is not there is not supported. */
function metadata({ issuer, proofAlgorithms }: Pick<PublishDeps, 'issuer' | 'proofAlgorithms'>): JsonObject {
  return {
    issuer,
    token_endpoint: `${issuer}/oauth/2/token`,
    introspection_endpoint: `${issuer}/oauth/2/introspect`,
    revocation_endpoint: `${issuer}/oauth/2/revoke`,
    ...authentication('token'),
    ...authentication('introspection'),
    ...authentication('revocation'),
    grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
    // Required, and empty: there is no authorization endpoint.
    response_types_supported: [],
    dpop_signing_alg_values_supported: [...proofAlgorithms],
    tls_client_certificate_bound_access_tokens: true,
  };
}

/** Metadata of the installation; keys are per zone, so there is no `jwks_uri`. */
export function issuerMetadata(deps: Pick<PublishDeps, 'issuer' | 'proofAlgorithms'>): JsonObject {
  return metadata(deps);
}

/** Metadata of one zone, with its `jwks_uri`. */
export async function zoneMetadata(deps: PublishDeps, zoneId: string): Promise<JsonObject> {
  const zone = await deps.directory.zone(zoneId);
  if (!zone) throw fail('not_found');
  return { ...metadata(deps), jwks_uri: `${deps.issuer}/zones/${zoneId}/.well-known/jwks.json` };
}
