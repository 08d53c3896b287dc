/**
 * Identities that a service mesh's proxy asserts in a header: when they are believed and how they are read.
 * It stands alone because a header is only as good as the hop that wrote it, and every other copy must disappear.
 */
import type { ServiceName } from '#mesh/topology';
import type { PeerCaller } from './caller.ts';
import type { Connection, RawRequest } from './connection.ts';

/** The declared mesh; undefined when identities come from client certificates alone. */
export type MeshIdentity = 'linkerd' | 'istio';

const linkerdHeader = 'l5d-client-id';
const forwardedCertificateHeader = 'x-forwarded-client-cert';
const assertionHeaders: ReadonlySet<string> = new Set([linkerdHeader, forwardedCertificateHeader]);

/** An Envoy chain longer than this is not a mesh of ours; the bound keeps parsing cheap. */
const maxForwardedBytes = 16_384;

/** RFC 1122 §3.2.1.3 (127.0.0.0/8) and RFC 4291 §2.5.3 (::1), plain or mapped (RFC 4291 §2.5.5.2). */
function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address);
}

/** True when the hop before us is our own sidecar: Linkerd dials the pod's own address, Istio comes from 127.0.0.6. */
export function isLocalHop({ remoteAddress, localAddress }: Connection): boolean {
  if (remoteAddress === '') return false;
  return remoteAddress === localAddress || isLoopback(remoteAddress);
}

/** The full identity that the local proxy asserts; undefined when it says nothing, or says it in more than one way. */
export function assertedIdentity(request: RawRequest, mesh: MeshIdentity): string | undefined {
  switch (mesh) {
    case 'linkerd': {
      const values = headerValues(request, linkerdHeader);
      const [only] = values;
      return values.length === 1 && only !== undefined && only !== '' && !only.includes(',') ? only : undefined;
    }
    case 'istio': {
      const last = headerValues(request, forwardedCertificateHeader).at(-1);
      return last === undefined ? undefined : lastForwardedUri(last);
    }
  }
}

/** Every value of a header as it was received, in order: Node joins or drops repeated ones in `headers`. */
function headerValues(request: RawRequest, name: string): string[] {
  const values: string[] = [];
  const { rawHeaders } = request;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === name) values.push(rawHeaders[at + 1] ?? '');
  }
  return values;
}

/**
 * The one `URI` of the last element of an `x-forwarded-client-cert` value (Envoy's format: elements joined by commas,
 * pairs by semicolons, values with special characters in double quotes, backslash escapes inside). The last element is
 * the nearest hop's; earlier ones came from the network.
 */
function lastForwardedUri(value: string): string | undefined {
  if (value.length > maxForwardedBytes) return undefined;
  const element = splitOutsideQuotes(value, ',')?.at(-1);
  const pairs = element === undefined ? undefined : splitOutsideQuotes(element, ';');
  const uris = (pairs ?? [])
    .map((pair) => /^\s*uri\s*=(.*)$/is.exec(pair)?.[1]?.trim())
    .filter((uri) => uri !== undefined);
  const [only] = uris;
  if (uris.length !== 1 || only === undefined) return undefined;
  const bare = /^"(.*)"$/s.exec(only)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? only;
  return bare === '' ? undefined : bare;
}

/**
 * Undefined when a quote stands where no value begins or ends, or is never closed: a sender before the proxy could
 * otherwise swap inside and outside of what the proxy appended.
 */
function splitOutsideQuotes(text: string, separator: ',' | ';'): string[] | undefined {
  const parts: string[] = [];
  let isQuoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (isQuoted && character === '\\') at += 1;
    else if (character === '"') {
      if (!isQuoteInPlace(text, at, isQuoted)) return undefined;
      isQuoted = !isQuoted;
    } else if (!isQuoted && character === separator) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return isQuoted ? undefined : parts;
}

function isQuoteInPlace(text: string, at: number, isClosing: boolean): boolean {
  return isClosing ? [',', ';', undefined].includes(text[at + 1]) : text[at - 1] === '=';
}

/** Maps a full identity to the service it stands for; exact match, nobody else is a peer. */
export function assertedPeer(
  identity: string | undefined,
  peers: ReadonlyMap<string, ServiceName>,
): PeerCaller | undefined {
  const service = identity === undefined ? undefined : peers.get(identity);
  return service === undefined || identity === undefined ? undefined : { kind: 'peer', service, spiffeId: identity };
}

/** Removes every copy of the assertion headers, so that no handler, log or upstream ever sees one. */
export function stripAssertions(request: RawRequest): void {
  const { headers, rawHeaders } = request;
  for (const name of assertionHeaders) delete headers[name];
  for (let at = rawHeaders.length - 2; at >= 0; at -= 2) {
    if (assertionHeaders.has(rawHeaders[at]?.toLowerCase() ?? '')) rawHeaders.splice(at, 2);
  }
}
