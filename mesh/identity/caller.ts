/**
 * Who is calling, in the four forms that a handler can meet, plus the proxy form of ext_authz.
 * It stands alone because every surface and the evidence of refusals speak of callers in these words.
 */
import type { ServiceName } from '#mesh/topology';

/** One of our services, proven by its client certificate or asserted by the declared service mesh. */
export interface PeerCaller {
  readonly kind: 'peer';
  readonly service: ServiceName;
  /** The full identity: `spiffe://<trust domain>/caracal/<service>`, or the mesh's own name for the workload. */
  readonly spiffeId: string;
}

/** A person or tool of the installation's operators, proven by a client certificate. */
export interface OperatorCaller {
  readonly kind: 'operator';
  readonly name: string;
}

/** An Envoy proxy, proven by a client certificate. It may ask for verdicts of ext_authz and nothing else. */
export interface EnvoyCaller {
  readonly kind: 'envoy';
  readonly name: string;
}

/** The holder of a mandate that the given verifier accepted. `Mandate` is the verifier's own type. */
export interface BearerCaller<Mandate> {
  readonly kind: 'bearer';
  readonly mandate: Mandate;
}

/** Nobody we know: a probe, a browser, a reader of public keys. */
export interface AnonymousCaller {
  readonly kind: 'anonymous';
}

/** A caller known from its connection alone, before any bearer token was looked at. */
export type ConnectionCaller = PeerCaller | OperatorCaller | EnvoyCaller | AnonymousCaller;

export type Caller<Mandate = unknown> = ConnectionCaller | BearerCaller<Mandate>;

export const anonymous: AnonymousCaller = Object.freeze({ kind: 'anonymous' });

/** A short name for logs and evidence: `peer:api`, `operator:jane`, `bearer`, `anonymous`. Never a secret. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case 'peer':
      return `peer:${caller.service}`;
    case 'operator':
      return `operator:${caller.name}`;
    case 'envoy':
      return `envoy:${caller.name}`;
    case 'bearer':
      return 'bearer';
    case 'anonymous':
      return 'anonymous';
  }
}
