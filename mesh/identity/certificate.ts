/**
 * Judges a client certificate: an identity of our trust domain, somebody else's certificate, or a false claim.
 * It stands alone because TLS alone answers too little: `authorized` is also true for a resumed session that showed no
 * certificate, and it does not tell which anchor was reached.
 */
import { X509Certificate, createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { EnvoyCaller, OperatorCaller, PeerCaller } from './caller.ts';
import type { ClientCertificate } from './connection.ts';
import { claimsTrustDomain, parseIdentity, uriNames } from './spiffe.ts';

/** Which authorities count: the mesh's for identities, the clients' for certificates that mandates are bound to. */
export interface Anchors {
  readonly mesh: readonly X509Certificate[];
  readonly client: readonly X509Certificate[];
}

/** What a finished handshake showed. */
export interface ShownCertificate {
  readonly leaf: X509Certificate;
  /** What the peer sent beside the leaf, in any order. */
  readonly intermediates: readonly X509Certificate[];
  /** OpenSSL's own verdict over chain, validity and purpose against all anchors. */
  readonly authorized: boolean;
  readonly resumed: boolean;
}

export type RefusalRule = 'unverified' | 'not_valid_now' | 'wrong_usage' | 'several_uri_names' | 'unknown_identity';

export type CertificateVerdict =
  | { readonly kind: 'none' }
  | { readonly kind: 'foreign'; readonly certificate: ClientCertificate; readonly validToMs: number }
  | {
      readonly kind: 'known';
      readonly caller: PeerCaller | OperatorCaller | EnvoyCaller;
      readonly certificate: ClientCertificate;
      readonly validToMs: number;
    }
  /** The certificate claims our trust domain and does not prove it: the connection must close. */
  | { readonly kind: 'refused'; readonly rule: RefusalRule };

/** RFC 5280 §4.2.1.12: id-kp-clientAuth. */
const clientAuthentication = '1.3.6.1.5.5.7.3.2';
/** Longer chains than this are mistakes or attacks; public hierarchies have at most four. */
const maxChainLength = 8;

/** What the peer of a TLS connection showed; undefined when it showed no certificate. */
export function shownCertificate(socket: TLSSocket): ShownCertificate | undefined {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return undefined;
  const intermediates: X509Certificate[] = [];
  let link = socket.getPeerCertificate(true);
  for (let depth = 0; depth < maxChainLength; depth += 1) {
    const issuer = link.issuerCertificate;
    if (issuer === undefined || issuer === link || issuer.raw === undefined) break;
    intermediates.push(new X509Certificate(issuer.raw));
    link = issuer;
  }
  return { leaf, intermediates, authorized: socket.authorized, resumed: socket.isSessionReused() };
}

export interface JudgeOptions {
  readonly trustDomain: string | undefined;
  readonly anchors: Anchors;
  readonly nowMs: number;
}

/** Pure. Gives an identity only to a certificate that meets every rule of surfaces.md; a doubt refuses. */
export function judgeCertificate(shown: ShownCertificate | undefined, options: JudgeOptions): CertificateVerdict {
  if (shown === undefined) return { kind: 'none' };
  const { leaf } = shown;
  const validToMs = leaf.validToDate.getTime();
  const { trustDomain } = options;
  const uris = uriNames(leaf.subjectAltName);
  if (trustDomain === undefined || !uris.some((uri) => claimsTrustDomain(uri, trustDomain))) {
    return { kind: 'foreign', certificate: foreignCertificate(shown, options), validToMs };
  }
  const broken = brokenRule(shown, options.anchors.mesh, options.nowMs);
  if (broken !== undefined) return { kind: 'refused', rule: broken };
  const [uri] = uris;
  if (uri === undefined || uris.length !== 1) return { kind: 'refused', rule: 'several_uri_names' };
  const caller = parseIdentity(uri, trustDomain);
  if (caller === undefined) return { kind: 'refused', rule: 'unknown_identity' };
  return { kind: 'known', caller, certificate: { thumbprint: thumbprintOf(leaf), acceptable: true }, validToMs };
}

function foreignCertificate(shown: ShownCertificate, { anchors, nowMs }: JudgeOptions): ClientCertificate {
  const acceptable = anchors.client.length === 0 || brokenRule(shown, anchors.client, nowMs) === undefined;
  return { thumbprint: thumbprintOf(shown.leaf), acceptable };
}

function brokenRule(
  shown: ShownCertificate,
  anchors: readonly X509Certificate[],
  nowMs: number,
): RefusalRule | undefined {
  const { leaf } = shown;
  if (!validAt(leaf, nowMs)) return 'not_valid_now';
  if (!shown.authorized || shown.resumed || leaf.ca) return 'unverified';
  if (!(leaf.keyUsage ?? []).includes(clientAuthentication)) return 'wrong_usage';
  return chainsTo(shown, anchors, nowMs) ? undefined : 'unverified';
}

/** Follows real signatures: names alone (which is all that TLS's chain listing compares) can be made to match. */
function chainsTo(shown: ShownCertificate, anchors: readonly X509Certificate[], nowMs: number): boolean {
  let current = shown.leaf;
  for (let depth = 0; depth < maxChainLength; depth += 1) {
    const subject = current;
    const issues = (issuer: X509Certificate) => isIssuedBy(subject, issuer) && validAt(issuer, nowMs);
    if (anchors.some(issues)) return true;
    const next = shown.intermediates.find((candidate) => candidate.ca && issues(candidate));
    if (next === undefined || next.fingerprint256 === current.fingerprint256) return false;
    current = next;
  }
  return false;
}

function isIssuedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    // A key that OpenSSL cannot use for this signature verifies nothing.
    return false;
  }
}

function validAt(certificate: X509Certificate, nowMs: number): boolean {
  return certificate.validFromDate.getTime() <= nowMs && nowMs < certificate.validToDate.getTime();
}

function thumbprintOf(leaf: X509Certificate): string {
  return createHash('sha256').update(leaf.raw).digest('base64url');
}

const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Every certificate of a PEM bundle. Throws when one cannot be read or the text holds none. */
export function parseAnchors(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(pemBlock) ?? [];
  if (blocks.length === 0) throw new Error('the bundle holds no certificate');
  return blocks.map((block) => new X509Certificate(block));
}
