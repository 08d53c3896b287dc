// Decides whether the Gateway may open a connection to a resolved IP address. It stands alone because this is the rule
// that keeps a tenant's upstream from naming cloud metadata, this host, or the installation's own stores and services.
import ipaddr from 'ipaddr.js';

/** What an address is, seen from the Gateway. `canonical` is the address after embedded forms were unwrapped. */
export type AddressKind =
  | { readonly kind: 'public' | 'private' | 'loopback'; readonly canonical: string }
  | { readonly kind: 'blocked'; readonly canonical: string; readonly range: string };

/** An address and port that belong to the installation. */
export interface Endpoint {
  readonly address: string;
  /** Undefined: every port. */
  readonly port: number | undefined;
}

/** A host name, with a port when only that port is meant. */
export interface HostEntry {
  readonly host: string;
  readonly port: number | undefined;
}

export interface OwnAddresses {
  /** What is behind the stores' and the STS's URLs and the services' own listeners. */
  readonly endpoints: readonly Endpoint[];
}

export interface Destination {
  /** Lower-case host of the upstream's URL, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The resolved address that is about to be dialled. */
  readonly address: string;
}

export type DestinationVerdict = { readonly kind: 'allowed' } | { readonly kind: 'refused'; readonly rule: string };

type Block = readonly [range: string, why: string];

// Never a legitimate upstream. 168.63.129.16 is Azure's wire server, a metadata endpoint on a public address.
const blocked4: readonly Block[] = [
  ['0.0.0.0/8', 'unspecified'],
  ['100.64.0.0/10', 'carrier-grade NAT'],
  ['168.63.129.16/32', 'metadata'],
  ['169.254.0.0/16', 'link-local and metadata'],
  ['192.0.0.0/24', 'protocol assignments'],
  ['192.88.99.0/24', '6to4 relay'],
  ['198.18.0.0/15', 'benchmarking'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
];

// fd00:ec2::/32 and fd20:ce::254 are the metadata services of two clouds inside the private range fc00::/7. 6to4 and
// Teredo are retired tunnels whose payload address the far end chooses; nothing legitimate is reached through them.
const blocked6: readonly Block[] = [
  ['::/128', 'unspecified'],
  ['64:ff9b:1::/48', 'local-use NAT64'],
  ['100::/64', 'discard'],
  ['2001::/32', 'Teredo'],
  ['2002::/16', '6to4'],
  ['fd00:ec2::/32', 'metadata'],
  ['fd20:ce::254/128', 'metadata'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
];

const private4 = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'].map((range) => ipaddr.IPv4.parseCIDR(range));
const private6 = ['fc00::/7'].map((range) => ipaddr.IPv6.parseCIDR(range));
const loopback4 = ipaddr.IPv4.parseCIDR('127.0.0.0/8');
const loopback6 = ipaddr.IPv6.parse('::1');
const ranges4 = blocked4.map(([range, why]) => ({ range: ipaddr.IPv4.parseCIDR(range), why }));
const ranges6 = blocked6.map(([range, why]) => ({ range: ipaddr.IPv6.parseCIDR(range), why }));

// Prefixes whose last 32 bits are an IPv4 address: mapped (RFC 4291 §2.5.5.2), compatible (§2.5.5.1),
// translated (RFC 2765 §2.1) and NAT64's well-known prefix (RFC 6052 §2.1).
const embeds4 = ['::ffff:0:0/96', '::/96', '::ffff:0:0:0/96', '64:ff9b::/96'].map((range) =>
  ipaddr.IPv6.parseCIDR(range),
);

/** Says what an address is. Text that is no address is blocked. */
export function classifyAddress(text: string): AddressKind {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return classify4(ipaddr.IPv4.parse(text));
  const withoutZone = text.split('%', 1)[0] ?? '';
  if (!withoutZone.includes(':') || !ipaddr.IPv6.isValid(withoutZone)) {
    return { kind: 'blocked', canonical: text, range: 'not an address' };
  }
  return classify6(ipaddr.IPv6.parse(withoutZone));
}

function classify4(address: ipaddr.IPv4): AddressKind {
  const canonical = address.toString();
  for (const { range, why } of ranges4) {
    if (address.match(range)) return { kind: 'blocked', canonical, range: why };
  }
  if (address.match(loopback4)) return { kind: 'loopback', canonical };
  return { kind: private4.some((range) => address.match(range)) ? 'private' : 'public', canonical };
}

function classify6(address: ipaddr.IPv6): AddressKind {
  const canonical = address.toString();
  if (canonical === loopback6.toString()) return { kind: 'loopback', canonical };
  for (const { range, why } of ranges6) {
    if (address.match(range)) return { kind: 'blocked', canonical, range: why };
  }
  if (embeds4.some((range) => address.match(range))) {
    return classify4(new ipaddr.IPv4(address.toByteArray().slice(12)));
  }
  return { kind: private6.some((range) => address.match(range)) ? 'private' : 'public', canonical };
}

/**
 * Whether this very address may be dialled for this upstream. Loopback is reached only where the host is named in
 * `devLoopbackHosts`, which is empty outside dev. The installation's own endpoints are refused by address and port on
 * loopback and by address alone elsewhere, because there one address is one machine of the installation.
 */
export function judgeDestination(
  destination: Destination,
  own: OwnAddresses,
  devLoopbackHosts: readonly HostEntry[],
): DestinationVerdict {
  const seen = classifyAddress(destination.address);
  if (seen.kind === 'blocked') return { kind: 'refused', rule: `blocked range: ${seen.range}` };
  const loopback = seen.kind === 'loopback';
  if (loopback && !namesHost(devLoopbackHosts, destination)) return { kind: 'refused', rule: 'loopback' };
  for (const endpoint of own.endpoints) {
    const mine = classifyAddress(endpoint.address);
    const samePort = endpoint.port === undefined || endpoint.port === destination.port;
    // Every loopback address is the same machine, so 127.0.0.2 and ::1 count as 127.0.0.1.
    const same = loopback ? mine.kind === 'loopback' && samePort : mine.canonical === seen.canonical;
    if (same) return { kind: 'refused', rule: 'the installation itself' };
  }
  return { kind: 'allowed' };
}

/** True when the list names this host, for every port or for this one. */
export function namesHost(
  entries: readonly HostEntry[],
  host: { readonly host: string; readonly port: number },
): boolean {
  return entries.some((entry) => entry.host === host.host && (entry.port === undefined || entry.port === host.port));
}

/** Reads `host`, `host:port`, `[v6]` or `[v6]:port`; undefined when it is none of them. */
export function parseHostEntry(text: string): HostEntry | undefined {
  const trimmed = text.trim().toLowerCase();
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+)|([0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*))(?::(\d{1,5}))?$/.exec(
    trimmed,
  );
  const host = match?.[1] ?? match?.[2] ?? match?.[3];
  if (match === null || host === undefined) return undefined;
  const port = match[4] === undefined ? undefined : Number(match[4]);
  return port !== undefined && (port < 1 || port > 65_535) ? undefined : { host, port };
}
