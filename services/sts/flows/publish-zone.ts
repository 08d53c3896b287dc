// What anyone may read: a zone's public keys, and where the token endpoint is (RFC 8414).
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { ZoneJwk } from '#mesh/mandate';
import type { Directory } from '../ports/directory.ts';
import type { ZoneKeys } from '../ports/mandate-issuing.ts';

export interface PublishDeps {
  readonly issuer: string;
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

function metadata(issuer: string): JsonObject {
  return {
    issuer,
    token_endpoint: `${issuer}/oauth/2/token`,
    grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    response_types_supported: [],
  };
}

/** Metadata of the installation; keys are per zone, so there is no `jwks_uri`. */
export function issuerMetadata(deps: Pick<PublishDeps, 'issuer'>): JsonObject {
  return metadata(deps.issuer);
}

/** Metadata of one zone, with its `jwks_uri`. */
export async function zoneMetadata(deps: PublishDeps, zoneId: string): Promise<JsonObject> {
  const zone = await deps.directory.zone(zoneId);
  if (!zone) throw fail('not_found');
  return { ...metadata(deps.issuer), jwks_uri: `${deps.issuer}/zones/${zoneId}/.well-known/jwks.json` };
}
