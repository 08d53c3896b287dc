/**
 * Decides who is calling: from the connection at once, from a bearer token on demand.
 * It stands alone so that every surface asks one place, and the bearer's verifier stays a function that is passed in.
 */
import type { TLSSocket } from 'node:tls';
import { asFailure, fail } from '#mesh/failure';
import type { PresentedBearer } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { ServiceName } from '#mesh/topology';
import { anonymous } from './caller.ts';
import type { BearerCaller, ConnectionCaller } from './caller.ts';
import { judgeCertificate, shownCertificate } from './certificate.ts';
import type { Anchors, CertificateVerdict } from './certificate.ts';
import { bindConnection, clientCertificateOf } from './connection.ts';
import type { Connection, RawRequest } from './connection.ts';
import { assertedIdentity, assertedPeer, isLocalHop, stripAssertions } from './mesh-asserted.ts';
import type { MeshIdentity } from './mesh-asserted.ts';

/** Verifies a credential as it was shown, proof included, and gives what it says; throws a Failure (`invalid_token`, …) otherwise. */
export type VerifyBearer<Mandate> = (token: string, presented: PresentedBearer) => Promise<Mandate>;

export interface IdentityOptions<Mandate> {
  /** MESH_TRUST_DOMAIN; without one no certificate gives an identity. */
  readonly trustDomain: string | undefined;
  /** MESH_IDENTITY; undefined when no service mesh is declared. */
  readonly meshIdentity?: MeshIdentity | undefined;
  /** MESH_PEERS: the full identity a proxy asserts → the service it stands for. */
  readonly meshPeers?: ReadonlyMap<string, ServiceName> | Readonly<Record<string, ServiceName>> | undefined;
  /** Absent where no surface of the service takes mandates. */
  readonly verifyBearer?: VerifyBearer<Mandate> | undefined;
  /** Gives nonces for proofs; absent where none are taken. */
  readonly proofNonce?: (() => string) | undefined;
  readonly clock: Pick<Clock, 'now'>;
}

export interface Identity<Mandate = unknown> {
  /** Judges the certificate of a finished handshake. `refused` means: close this connection. */
  inspect(socket: TLSSocket, anchors: Anchors): CertificateVerdict;
  /** Binds connection and caller to a request and removes asserted identities from its headers. Once a request, first. */
  admit(request: RawRequest, connection: Connection): void;
  /**
   * The caller behind a request's Authorization header. Fails with `unauthenticated` when there is no token of a scheme of
   * ours or no verifier, and with the verifier's own Failure when the token is not accepted.
   */
  verifyBearer(request: RawRequest): Promise<BearerCaller<Mandate>>;
  /** A nonce for the DPoP-Nonce header (RFC 9449 §9); undefined where no proofs are taken. */
  proofNonce(): string | undefined;
}

/**
 * RFC 6750 §2.1 and RFC 9449 §7.1: the `b64token` form under either scheme; the bound keeps a hostile header cheap (a
 * mandate stays under 8 KiB).
 */
const credentialPattern = /^(Bearer|DPoP) +([A-Za-z0-9._~+/-]{1,8192}=*) *$/i;

/** The token of an `Authorization: Bearer` header value; undefined when the value is anything else. */
export function bearerToken(authorization: string | null | undefined): string | undefined {
  const [, scheme, token] = credentialPattern.exec(authorization ?? '') ?? [];
  return scheme?.toLowerCase() === 'bearer' ? token : undefined;
}

/**
 * What a request shows to be let in: its token under either scheme, its proof and its certificate. Undefined without a
 * token. Several DPoP headers arrive joined by a comma, which no check takes for a proof (RFC 9449 §4.3 item 1).
 */
export function presentedBearer(request: RawRequest): PresentedBearer | undefined {
  const { authorization, dpop } = request.headers;
  const [, scheme, token] = credentialPattern.exec(authorization ?? '') ?? [];
  if (scheme === undefined || token === undefined) return undefined;
  return {
    scheme: scheme.toLowerCase() === 'dpop' ? 'dpop' : 'bearer',
    token,
    dpop: Array.isArray(dpop) ? dpop.join(', ') : dpop,
    method: request.method ?? '',
    target: request.url ?? '',
    certificateThumbprint: clientCertificateOf(request),
  };
}

/** Pure but for the injected verifier: holds no sockets, reads no files. */
export function createIdentity<Mandate = unknown>(options: IdentityOptions<Mandate>): Identity<Mandate> {
  const { trustDomain, meshIdentity, verifyBearer, clock } = options;
  const peers = peerMap(options.meshPeers);

  const callerOn = (request: RawRequest, connection: Connection): ConnectionCaller => {
    if (connection.peer.kind !== 'anonymous') return connection.peer;
    if (meshIdentity === undefined || !isLocalHop(connection)) return anonymous;
    return assertedPeer(assertedIdentity(request, meshIdentity), peers) ?? anonymous;
  };

  return {
    inspect: (socket, anchors) =>
      judgeCertificate(shownCertificate(socket), { trustDomain, anchors, nowMs: clock.now() }),
    admit: (request, connection) => {
      const caller = callerOn(request, connection);
      stripAssertions(request);
      bindConnection(request, { connection, caller });
    },
    verifyBearer: async (request) => {
      const presented = presentedBearer(request);
      if (presented === undefined || verifyBearer === undefined) throw fail('unauthenticated');
      try {
        return { kind: 'bearer', mandate: await verifyBearer(presented.token, presented) };
      } catch (error) {
        throw asFailure(error);
      }
    },
    proofNonce: () => options.proofNonce?.(),
  };
}

function peerMap(peers: IdentityOptions<unknown>['meshPeers']): ReadonlyMap<string, ServiceName> {
  if (peers === undefined) return new Map();
  return peers instanceof Map ? peers : new Map(Object.entries(peers));
}
