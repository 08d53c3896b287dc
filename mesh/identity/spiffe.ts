/**
 * Reads URI names out of a certificate's subjectAltName and identities of our trust domain out of a URI.
 * It stands alone because both are hostile input: the text form quotes, the URI form has look-alikes.
 */
import { isServiceName } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';
import type { EnvoyCaller, OperatorCaller, PeerCaller } from './caller.ts';

/** SPIFFE-ID §2: a SPIFFE ID is at most 2048 bytes. */
const maxSpiffeIdBytes = 2048;
/** Names of operators and proxies: what a log line and a metric label hold safely. */
const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

/**
 * The URI names of a subjectAltName as `X509Certificate.subjectAltName` writes it: entries joined by `, `, an entry with
 * unusual characters in JSON quotes. A quoted URI is given back as it stands between the quotes, which no SPIFFE ID
 * equals, so that it still counts as a name.
 */
export function uriNames(subjectAltName: string | undefined): readonly string[] {
  if (subjectAltName === undefined) return [];
  return splitEntries(subjectAltName)
    .filter((entry) => /^URI:/i.test(entry))
    .map((entry) => entry.slice('URI:'.length));
}

function splitEntries(text: string): string[] {
  const entries: string[] = [];
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (quoted && character === '\\') at += 1;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === ',') {
      entries.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  entries.push(text.slice(start).trim());
  return entries;
}

/** True when a URI speaks of our trust domain in whatever spelling: such a certificate must verify or go. */
export function claimsTrustDomain(uri: string, trustDomain: string): boolean {
  const match = /^["\s]*spiffe:\/\/([^/?#]*)/i.exec(uri);
  if (match === null) return false;
  const authority = (match[1] ?? '').toLowerCase();
  const host = authority.replace(/^.*@/, '').replace(/:\d*$/, '').replace(/\.$/, '');
  return host === trustDomain.toLowerCase();
}

/**
 * The identity that a URI names in our trust domain, by exact match (SPIFFE-ID §2); undefined for every other text.
 * No normalisation: a percent sign, an empty segment or another case is another name.
 */
export function parseIdentity(uri: string, trustDomain: string): PeerCaller | OperatorCaller | EnvoyCaller | undefined {
  const prefix = `spiffe://${trustDomain}/`;
  if (Buffer.byteLength(uri) > maxSpiffeIdBytes || !uri.startsWith(prefix)) return undefined;
  const [group, name, ...rest] = uri.slice(prefix.length).split('/');
  if (name === undefined || rest.length > 0) return undefined;
  if (group === 'caracal') return isServiceName(name) ? { kind: 'peer', service: name, spiffeId: uri } : undefined;
  if (!namePattern.test(name)) return undefined;
  if (group === 'operator') return { kind: 'operator', name };
  if (group === 'envoy') return { kind: 'envoy', name };
  return undefined;
}

/** The identity that a service's certificate carries. */
export function serviceIdentity(trustDomain: string, service: ServiceName): string {
  return `spiffe://${trustDomain}/caracal/${service}`;
}
