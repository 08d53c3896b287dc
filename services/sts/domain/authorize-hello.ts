// What Gateway and STS prove to each other before a question flows: that both hold the shared key, for this very
// connection. Pure, so that both sides' bytes can be fixed by a test.
import { constantTimeEqual, hmacSha256, lengthPrefixed } from '#mesh/canonical';

/** Everything both sides know of one stream, in the order it is proven. */
export interface HelloTranscript {
  readonly stsRandom: Uint8Array;
  readonly gatewayRandom: Uint8Array;
  readonly gatewaySpiffeId: string;
  readonly replicaId: string;
  /** Keying material of the TLS connection; empty on plaintext under a declared mesh. */
  readonly exporter: Uint8Array;
}

type Side = 'gateway' | 'sts';

/** A label each, so that neither side's proof can be sent back as the other's. */
const labels: { readonly [S in Side]: string } = {
  gateway: 'caracal/authorize/gateway/v1',
  sts: 'caracal/authorize/sts/v1',
};

/** HMAC-SHA256 over label, both randoms, SPIFFE id, replica id and exporter, each length-prefixed. */
export function helloMac(side: Side, key: Uint8Array, transcript: HelloTranscript): Buffer {
  const { stsRandom, gatewayRandom, gatewaySpiffeId, replicaId, exporter } = transcript;
  return hmacSha256(
    key,
    lengthPrefixed([labels[side], stsRandom, gatewayRandom, gatewaySpiffeId, replicaId, exporter]),
  );
}

/** The key the Gateway used, current or previous; undefined when it proved none. */
export function provenKey(
  keys: readonly Uint8Array[],
  mac: Uint8Array,
  transcript: HelloTranscript,
): Uint8Array | undefined {
  return keys.find((key) => constantTimeEqual(helloMac('gateway', key, transcript), mac));
}
