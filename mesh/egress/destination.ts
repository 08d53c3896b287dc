// Decides whether a connection to a resolved IP address may be opened. It stands alone because this is the rule that keeps
// what a tenant names (an upstream, a provider, an issuer) from being cloud metadata, this host, or the installation's own
// stores and services.
import ipaddr from 'ipaddr.js';
import { namesHost, type HostEntry } from './host-entry.ts';

/** What an address is, seen from this process. `canonical` is the address after embedded forms were unwrapped. */
export type AddressKind =
  | { readonly kind: 'public' | 'private' | 'loopback'; readonly canonical: string }
  | { readonly kind: 'blocked'; readonly canonical: string; readonly range: string };

/** An address and port that belong to the installation. */
export interface Endpoint {
  readonly address: string;
  /** Undefined: every port. */
  readonly port: number | undefined;
}

export interface OwnAddresses {
  /** What is behind the URLs this process was given, and the services' own listeners. */
  readonly endpoints: readonly Endpoint[];
}

export interface Destination {
  /** Lower-case host of the URL, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The resolved address that is about to be dialled. */
  readonly address: string;
  /** False when what is sent could be read on the way. */
  readonly encrypted: boolean;
}

/** Where a caller's connections may go beside public addresses. */
export interface DestinationRules {
  /** Hosts that may be on loopback; empty outside dev. */
  readonly loopbackHosts: readonly HostEntry[];
  /** Hosts that may be in private ranges; `any` leaves them all reachable. */
  readonly privateHosts: 'any' | readonly HostEntry[];
  /** Where an unencrypted connection may go. */
  readonly plaintext: 'anywhere' | 'loopback';
}

export type DestinationVerdict = { readonly kind: 'allowed' } | { readonly kind: 'refused'; readonly rule: string };

type Block = readonly [range: string, why: string];

// Never a legitimate destination. 168.63.129.16 is Azure's wire server, a metadata endpoint on a public address.
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
 * Whether this very address may be dialled for this host. Loopback is reached only by hosts named for it, private ranges
 * by those named for them where there is such a list. The installation's own endpoints are refused by address and port
 * on loopback and by address alone elsewhere, because there one address is one machine of the installation.
 */
export function judgeDestination(
  destination: Destination,
  own: OwnAddresses,
  rules: DestinationRules,
): DestinationVerdict {
  const seen = classifyAddress(destination.address);
  const rule = brokenRangeRule(destination, seen, rules);
  if (rule !== undefined) return { kind: 'refused', rule };
  const mine = own.endpoints.some((endpoint) => isSameMachine(destination, seen, endpoint));
  return mine ? { kind: 'refused', rule: 'the installation itself' } : { kind: 'allowed' };
}

function brokenRangeRule(destination: Destination, seen: AddressKind, rules: DestinationRules): string | undefined {
  const { loopbackHosts, privateHosts, plaintext } = rules;
  if (seen.kind === 'blocked') return `blocked range: ${seen.range}`;
  if (seen.kind === 'loopback') return namesHost(loopbackHosts, destination) ? undefined : 'loopback';
  if (!destination.encrypted && plaintext === 'loopback') return 'not encrypted';
  const named = seen.kind === 'public' || privateHosts === 'any' || namesHost(privateHosts, destination);
  return named ? undefined : 'private range';
}

function isSameMachine(destination: Destination, seen: AddressKind, endpoint: Endpoint): boolean {
  const mine = classifyAddress(endpoint.address);
  if (seen.kind !== 'loopback') return mine.canonical === seen.canonical;
  // Every loopback address is the same machine, so 127.0.0.2 and ::1 count as 127.0.0.1.
  return mine.kind === 'loopback' && (endpoint.port === undefined || endpoint.port === destination.port);
}
