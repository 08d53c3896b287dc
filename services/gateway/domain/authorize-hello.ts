// What Gateway and STS prove to each other before a question flows: that both hold the shared key, for this very
// connection. Pure, so that both sides' bytes can be fixed by a test.
import { constantTimeEqual, hmacSha256, lengthPrefixed } from '#mesh/canonical';

export interface HelloFacts {
  /** 32 bytes each, fresh for this stream. */
  readonly stsRandom: Uint8Array;
  readonly gatewayRandom: Uint8Array;
  readonly spiffeId: string;
  readonly replicaId: string;
  /** Keying material of the TLS connection (RFC 8446 §7.5); empty where a service mesh or dev carries plaintext. */
  readonly exporter: Uint8Array;
}

/** The exporter's label on both ends (RFC 5705 §4: EXPORTER for uses outside the registry's own). */
export const exporterLabel = 'EXPORTER-caracal-authorize-v1';
export const exporterBytes = 32;
export const randomBytes = 32;

const labels = { gateway: 'caracal/authorize/gateway/v1', sts: 'caracal/authorize/sts/v1' } as const;

/** The side's proof. Another label for each side, so that neither can send the other's back. */
export function helloMac(side: keyof typeof labels, key: Uint8Array, facts: HelloFacts): Buffer {
  const { stsRandom, gatewayRandom, spiffeId, replicaId, exporter } = facts;
  return hmacSha256(key, lengthPrefixed([labels[side], stsRandom, gatewayRandom, spiffeId, replicaId, exporter]));
}

/** Whether the STS's proof was made with one of the keys (the current one, or the previous during rotation). */
export function provesSts(mac: Uint8Array, keys: readonly Uint8Array[], facts: HelloFacts): boolean {
  return keys.some((key) => constantTimeEqual(mac, helloMac('sts', key, facts)));
}
