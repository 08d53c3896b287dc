// Decides which resource a request is for. A client names a resource, never an upstream: by header, with the zone its
// mandate claims (proven later), or by a mount in the path that names zone and resource by their slugs.
import type { Target } from './request-path.ts';

/** A protected resource as the Gateway needs it; a snapshot, replaced as a whole when it changes. */
export interface Resource {
  readonly id: string;
  readonly zoneId: string;
  readonly zoneSlug: string;
  /** The name clients and mandates use, unique within the zone. */
  readonly identifier: string;
  readonly slug: string;
  readonly name: string;
  readonly kind: 'http' | 'mcp' | 'grpc';
  readonly scopes: readonly string[];
  /** Governed calls a minute for one application; undefined means the installation's default. */
  readonly rateLimitPerMinute: number | undefined;
  readonly oddPathsAllowed: boolean;
  readonly version: number;
}

/** How the request names its resource, and the target that is left for the upstream. */
export type Route =
  | { readonly kind: 'header'; readonly identifier: string; readonly target: Target; readonly mount: '' }
  | {
      readonly kind: 'mount';
      readonly zoneSlug: string;
      readonly resourceSlug: string;
      readonly target: Target;
      /** The part of the path that named the resource. */
      readonly mount: string;
    };

export type RouteVerdict = Route | { readonly kind: 'refused'; readonly rule: string };

// A resource identifier is text of a client: bounded, visible, no spaces.
const identifierForm = /^[\u0021-\u007e]{1,512}$/;
const mountForm = /^\/r\/([a-z0-9][a-z0-9-]{0,62})\/([a-z0-9][a-z0-9-]{0,62})(?=\/|$)/;

/** The header wins over a mount: who names a resource by header may call any path of it, `/r/…` too. */
export function chooseRoute(target: Target, resourceHeader: string | undefined): RouteVerdict {
  if (resourceHeader !== undefined) {
    return identifierForm.test(resourceHeader)
      ? { kind: 'header', identifier: resourceHeader, target, mount: '' }
      : { kind: 'refused', rule: 'X-Caracal-Resource names one resource: 1 to 512 visible ASCII characters' };
  }
  const match = mountForm.exec(target.path);
  const zoneSlug = match?.[1];
  const resourceSlug = match?.[2];
  if (match === null || zoneSlug === undefined || resourceSlug === undefined) {
    return { kind: 'refused', rule: 'name the resource by X-Caracal-Resource or by /r/{zone}/{resource}/' };
  }
  const rest = target.path.slice(match[0].length);
  return {
    kind: 'mount',
    zoneSlug,
    resourceSlug,
    mount: match[0],
    target: { path: rest === '' ? '/' : rest, query: target.query },
  };
}

const reservedPaths = new Set(['/health', '/ready', '/metrics', '/.well-known/oauth-protected-resource']);

/** Paths the Gateway answers itself; everything else is a governed call. */
export function isReservedPath(target: string): boolean {
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  return reservedPaths.has(path) || path.startsWith('/.well-known/oauth-protected-resource/');
}
