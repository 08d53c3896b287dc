// Everything the Gateway gets from the STS, over one way of reaching it: verification keys and decisions.
import { LRUCache } from 'lru-cache';
import { fail } from '#mesh/failure';
import { serviceIdentity } from '#mesh/identity';
import {
  createJwksCache,
  createMandateVerifier,
  mandateAnchors,
  type AnchorRef,
  type MandateVerifier,
  type VerifiedMandate,
} from '#mesh/mandate';
import { createPeerHttp, createPeerTransport, createZoneKeyReader, type PeerTls } from '#mesh/rpc';
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { GatewayMetrics } from '../../metrics.ts';
import { createAuthorizerPeer, type AuthorizerPeer } from './authorizer-peer.ts';

export interface StsPeerOptions {
  /** STS_URL. */
  readonly url: string;
  readonly issuer: string;
  /** Our certificate; not used where the URL is plaintext (a declared mesh, or dev). */
  readonly tls: PeerTls | undefined;
  readonly trustDomain: string;
  /** GATEWAY_STS_HMAC_KEY and the one before. */
  readonly key: Uint8Array;
  readonly previousKey: Uint8Array | undefined;
  readonly replicaId: string;
  readonly newId: () => string;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: GatewayMetrics;
}

export interface StsPeer extends AsyncDisposable {
  readonly authorizer: AuthorizerPeer;
  readonly verifier: MandateVerifier;
  /** What a mandate's revocation is matched by; listed once for as long as the mandate is remembered. */
  readonly anchorsOf: (mandate: VerifiedMandate) => readonly AnchorRef[];
  /** Drops a zone's keys and every mandate verified by them. */
  forgetKeys(zoneId: string): void;
  forgetAllKeys(): void;
  /** A key that was retired because it leaked is forgotten in the turn its anchor is applied. */
  noteAnchor(anchor: { readonly zoneId: string; readonly kind: AnchorRef['kind'] }): void;
  /** Throws `sts_unavailable` unless a question asked now would be sent. */
  assertConnected(): void;
}

// Zones whose keys may be held, as many as the cache of keys holds.
const maxZones = 10_000;

export function createStsPeer(options: StsPeerOptions): StsPeer {
  const { clock, metrics, issuer, trustDomain, key, previousKey } = options;
  const stsUrl = new URL(options.url);
  const tls = stsUrl.protocol === 'https:' ? options.tls : undefined;
  const documents = createPeerHttp({ url: options.url, expectService: 'sts', trustDomain, tls });
  const readKeys = createZoneKeyReader(documents);
  const zones = new LRUCache<string, true>({ max: maxZones });
  const jwks = createJwksCache({
    fetchJwks: async (zoneId, kid) => {
      const found = await readKeys(zoneId, kid);
      if (found !== undefined) zones.set(zoneId, true);
      return found;
    },
    clock,
    onFetch: (outcome) => metrics.zoneKeyReads.inc({ outcome }),
  });
  const verifier = createMandateVerifier({ issuer, keys: jwks, clock });
  const authorizer = createAuthorizerPeer({
    ...options,
    stsUrl,
    connect: (url) => createPeerTransport({ url, expectService: 'sts', trustDomain, tls }),
    keys: previousKey === undefined ? [key] : [key, previousKey],
    spiffeId: serviceIdentity(trustDomain, 'gateway'),
  });
  const forgetKeys = (zoneId: string): void => {
    jwks.invalidate(zoneId);
    verifier.forgetZone(zoneId);
  };
  return {
    authorizer,
    verifier,
    anchorsOf: anchorsOnce(),
    forgetKeys,
    forgetAllKeys() {
      for (const zoneId of zones.keys()) forgetKeys(zoneId);
    },
    noteAnchor({ zoneId, kind }) {
      if (kind === 'zone_key') forgetKeys(zoneId);
    },
    assertConnected() {
      if (!authorizer.isConnected()) throw fail('sts_unavailable');
    },
    async [Symbol.asyncDispose]() {
      await authorizer[Symbol.asyncDispose]();
      await documents[Symbol.asyncDispose]();
    },
  };
}

// A verified mandate is one object for as long as it is remembered.
function anchorsOnce(): StsPeer['anchorsOf'] {
  const known = new WeakMap<VerifiedMandate, readonly AnchorRef[]>();
  return (mandate) => {
    const listed = known.get(mandate) ?? mandateAnchors(mandate);
    known.set(mandate, listed);
    return listed;
  };
}
