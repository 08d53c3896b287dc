/**
 * How much one connection, and all of them, may cost before the listener says no.
 * It stands alone because each number is a decision against a named attack.
 */
export interface ListenerLimits {
  /** From accept to protocol known: TLS handshake or the first bytes of plaintext. */
  readonly handshakeTimeoutMs: number;
  /** From a request's first byte (or the connection's start) to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From a request's first byte to the end of its body, unless the answer has begun (h2). */
  readonly requestTimeoutMs: number;
  /** How long an h2 client may go on sending to a stream that is answered: it has been told all there is. */
  readonly answeredLingerMs: number;
  /** An HTTP/1.1 connection without a request. */
  readonly keepAliveTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxConnections: number;
  readonly maxConcurrentStreams: number;
  readonly streamResetBurst: number;
  readonly streamResetPerSecond: number;
  readonly maxConnectionAgeMs: number;
  /** Between telling a connection to end and ending it, when its time is up. */
  readonly retireGraceMs: number;
  /** While draining: how long an idle HTTP/1.1 connection may still send a request that is already on its way. */
  readonly drainLingerMs: number;
}

export const defaultLimits: ListenerLimits = {
  // Slow handshakes hold a socket and no work; ten seconds forgive a bad mobile link.
  handshakeTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  // Bodies of our own surfaces are at most 1 MiB; the Gateway raises this for uploads.
  requestTimeoutMs: 30_000,
  // As long as a slow client needs to read the answer and stop.
  answeredLingerMs: 5_000,
  // Longer than the 60 s after which common load balancers drop idle connections, so that they close first.
  keepAliveTimeoutMs: 65_000,
  // A mandate of 8 KiB, a trace, and room for what proxies add.
  maxHeaderBytes: 32_768,
  maxConnections: 10_000,
  // Four times the 100 that RFC 9113 §6.5.2 recommends at least would serve one gateway; more is not one honest peer.
  maxConcurrentStreams: 400,
  // Rapid reset (CVE-2023-44487): a client that cancels more than this pays with its connection.
  streamResetBurst: 1000,
  streamResetPerSecond: 100,
  // Balances long-lived clients over replicas and bounds what a stale connection may rely on.
  maxConnectionAgeMs: 3_600_000,
  retireGraceMs: 10_000,
  // A few round trips across continents.
  drainLingerMs: 1_000,
};
