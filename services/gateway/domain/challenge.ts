// Says how a refused caller is told to authenticate (RFC 6750 §3, RFC 9728 §5.1) and what a resource's metadata
// document says (RFC 9728 §3.2). Both speak of the addresses callers use, never of an upstream.
import type { Resource } from './routing.ts';

/** The configured outside address a caller used, or the first one; empty when none is configured. */
export function publicBase(publicUrls: readonly string[], authority: string): string {
  const wanted = authority.toLowerCase();
  const used = publicUrls.find((url) => URL.canParse(url) && new URL(url).host === wanted);
  return trimSlash(used ?? publicUrls[0] ?? '');
}

function trimSlash(url: string): string {
  return url.endsWith('/') ? url.slice(0, -1) : url;
}

export interface ChallengeFacts {
  readonly base: string;
  readonly resource: Resource | undefined;
  /** RFC 6750 §3.1's word; undefined when the request carried no credential at all. */
  readonly error: 'invalid_token' | 'insufficient_scope' | undefined;
  readonly requiredScopes: readonly string[];
}

/** The value of WWW-Authenticate. Scopes are tokens without quotes by their own grammar (RFC 6749 §3.3). */
export function challenge(facts: ChallengeFacts): string {
  const parts: string[] = [];
  if (facts.error !== undefined) parts.push(`error="${facts.error}"`);
  if (facts.requiredScopes.length > 0) parts.push(`scope="${facts.requiredScopes.join(' ')}"`);
  if (facts.base !== '') parts.push(`resource_metadata="${metadataUrl(facts.base, facts.resource)}"`);
  return parts.length === 0 ? 'Bearer' : `Bearer ${parts.join(', ')}`;
}

/** The well-known word stands before the resource's path (RFC 9728 §3.1). */
function metadataUrl(base: string, resource: Resource | undefined): string {
  const root = `${base}/.well-known/oauth-protected-resource`;
  return resource === undefined ? root : `${root}/r/${resource.zoneSlug}/${resource.slug}`;
}

export interface ProtectedResource {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly bearer_methods_supported: readonly string[];
  readonly scopes_supported?: readonly string[];
  readonly resource_name?: string;
}

/** The metadata document of one resource, or of the Gateway itself when no resource is named. */
export function protectedResource(base: string, issuer: string, resource: Resource | undefined): ProtectedResource {
  if (resource === undefined) {
    return { resource: base, authorization_servers: [issuer], bearer_methods_supported: ['header'] };
  }
  return {
    resource: `${base}/r/${resource.zoneSlug}/${resource.slug}`,
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    scopes_supported: resource.scopes,
    resource_name: resource.name,
  };
}
