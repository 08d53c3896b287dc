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

/** RFC 6750 §3.1, RFC 9449 §7.1 and §9, and ours for a call that has to be approved first. */
export type ErrorWord =
  'invalid_token' | 'insufficient_scope' | 'invalid_dpop_proof' | 'use_dpop_nonce' | 'interaction_required';

export interface ChallengeFacts {
  readonly base: string;
  readonly resource: Resource | undefined;
  /** RFC 6750 §3.1's word; undefined when the request carried no credential at all. */
  readonly error: ErrorWord | undefined;
  readonly requiredScopes: readonly string[];
  /** What proofs may be signed with; empty challenges for a bearer (RFC 9449 §7.1). */
  readonly proofAlgorithms: readonly string[];
}

/** The value of WWW-Authenticate. Scopes are tokens without quotes by their own grammar (RFC 6749 §3.3). */
export function challenge(facts: ChallengeFacts): string {
  const parts: string[] = [];
  if (facts.error !== undefined) parts.push(`error="${facts.error}"`);
  if (facts.requiredScopes.length > 0) parts.push(`scope="${facts.requiredScopes.join(' ')}"`);
  if (facts.proofAlgorithms.length > 0) parts.push(`algs="${facts.proofAlgorithms.join(' ')}"`);
  if (facts.base !== '') parts.push(`resource_metadata="${metadataUrl(facts.base, facts.resource)}"`);
  const scheme = facts.proofAlgorithms.length > 0 ? 'DPoP' : 'Bearer';
  return parts.length === 0 ? scheme : `${scheme} ${parts.join(', ')}`;
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
  readonly dpop_signing_alg_values_supported: readonly string[];
  readonly tls_client_certificate_bound_access_tokens: boolean;
  readonly scopes_supported?: readonly string[];
  readonly resource_name?: string;
}

/** What is said of every resource: who issues its mandates, and how they are shown. */
export interface CommonMetadata {
  readonly issuer: string;
  readonly proofAlgorithms: readonly string[];
  /** Whether the Gateway sees its callers' certificates (RFC 8705 §3). */
  readonly seesCertificates: boolean;
}

/** The metadata document of one resource, or of the Gateway itself when no resource is named. */
export function protectedResource(
  base: string,
  { issuer, proofAlgorithms, seesCertificates }: CommonMetadata,
  resource: Resource | undefined,
): ProtectedResource {
  const common = {
    authorization_servers: [issuer],
    bearer_methods_supported: ['header'],
    dpop_signing_alg_values_supported: proofAlgorithms,
    tls_client_certificate_bound_access_tokens: seesCertificates,
  };
  if (resource === undefined) return { resource: base, ...common };
  return {
    resource: `${base}/r/${resource.zoneSlug}/${resource.slug}`,
    ...common,
    scopes_supported: resource.scopes,
    resource_name: resource.name,
  };
}
