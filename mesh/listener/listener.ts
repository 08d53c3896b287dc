/**
 * Owns a service's port: HTTP/1.1 and h2, TLS or plaintext, one handler, and an end that loses nothing.
 * It stands alone because no HTTP framework does all of this on one port, and its limits are the first line of defence.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { anonymous } from '#mesh/identity';
import type { CertificateVerdict, Connection, Identity } from '#mesh/identity';
import { newId } from '#mesh/ids';
import type { Clock } from '#mesh/time';
import type { Logger, Metrics } from '#mesh/telemetry';
import { createInnerServers } from './inner-servers.ts';
import type { InnerServers } from './inner-servers.ts';
import { defaultLimits } from './limits.ts';
import type { ListenerLimits } from './limits.ts';
import { LiveConnection } from './live-connection.ts';
import type { RawRequest, RawResponse } from './live-connection.ts';
import { listenerMetrics } from './observe.ts';
import type { ListenerMetrics } from './observe.ts';
import { createPort } from './port.ts';
import type { Arrival, Port } from './port.ts';
import { rawErrorOf, writeRawError } from './raw-reply.ts';
import type { TlsFiles, TlsMaterial } from './tls-material.ts';

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Absent: plaintext, HTTP/1.1 and h2c told apart by the first bytes. */
  readonly tls?: TlsFiles | undefined;
  readonly handler: (request: RawRequest, response: RawResponse) => void;
  /** Takes WebSocket upgrades of HTTP/1.1; absent: they are answered as ordinary requests. */
  readonly upgrade?: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined;
  readonly identity: Identity;
  readonly limits?: Partial<ListenerLimits> | undefined;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface DrainResult {
  /** Connections that ended by themselves. */
  readonly closed: number;
  /** Connections that were cut with work still running. */
  readonly forced: number;
}

export interface Listener extends AsyncDisposable {
  /** Fails when the address cannot be taken. */
  listen(): Promise<{ port: number }>;
  /**
   * Stops accepting, tells every connection to end (GOAWAY, `Connection: close`), waits for what runs, and cuts the rest
   * after `graceMs`. A second call waits for the first.
   */
  drain(graceMs: number): Promise<DrainResult>;
  /** Looks at the certificate files now. True when they changed and are in use. */
  reloadTls(): boolean;
  readonly connectionCount: number;
}

/** Creates a listener that does not listen yet. Throws when the TLS files cannot be used. */
export function createListener(options: ListenerOptions): Listener {
  return new PortListener(options);
}

class PortListener implements Listener {
  readonly #options: ListenerOptions;
  readonly #limits: ListenerLimits;
  readonly #metrics: ListenerMetrics;
  readonly #inner: InnerServers;
  readonly #port: Port;
  readonly #live = new Set<LiveConnection>();
  /** By the object that a request leads to: the socket on HTTP/1.1, the session on h2. */
  readonly #owners = new WeakMap<object, LiveConnection>();
  #draining: { readonly graceMs: number; readonly lingerMs: number } | undefined;
  #drained: Promise<DrainResult> | undefined;

  constructor(options: ListenerOptions) {
    const { upgrade } = options;
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#metrics = listenerMetrics(options.metrics);
    this.#inner = createInnerServers(this.#limits, {
      onRequest: (request, response) => this.#onRequest(request, response),
      onUnreadable: (error, socket) => this.#onUnreadable(error, socket),
      onConnectMethod: (socket) => this.#reject(socket, 'method_not_allowed', 405),
      onLateBody: () => this.#metrics.unreadable('request_timeout'),
      onUpgrade:
        upgrade === undefined
          ? undefined
          : (request, socket, head) => {
              const live = this.#owners.get(socket);
              if (live === undefined) return void socket.destroy();
              live.upgrade();
              options.identity.admit(request, live.connection);
              upgrade(request, socket, head);
            },
      newRequestId: newId,
    });
    this.#port = createPort(options.tls, this.#limits, {
      onArrival: (arrival) => this.#onArrival(arrival),
      onLatePreface: (socket) => this.#reject(socket, 'request_timeout', 408),
      onRefused: (why) => this.#metrics.refused(why),
      onTlsChanged: (next, before) => this.#onTlsChanged(next, before),
      onTlsUnreadable: (error) => options.logger.error({ error }, 'TLS files cannot be used, the old ones stay in use'),
    });
    this.#observeCertificate();
  }

  async listen(): Promise<{ port: number }> {
    return await this.#port.listen(this.#options.host, this.#options.port);
  }

  get connectionCount(): number {
    return this.#live.size;
  }

  reloadTls(): boolean {
    return this.#port.tls?.reload() ?? false;
  }

  async drain(graceMs: number): Promise<DrainResult> {
    this.#drained ??= this.#drain(graceMs);
    return await this.#drained;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drained = this.drain(0);
    for (const live of this.#live) live.destroy();
    this.#port.destroyPending();
    await drained;
  }

  async #drain(graceMs: number): Promise<DrainResult> {
    this.#draining = { graceMs, lingerMs: Math.min(this.#limits.drainLingerMs, graceMs / 2) };
    this.#port.stopAccepting();
    const ended: LiveConnection[] = [];
    for (const live of this.#live) live.retire(this.#draining);
    const deadline = setTimeout(() => this.#port.destroyPending(), graceMs);
    while (this.#live.size > 0 || this.#port.pendingCount > 0) {
      const live = [...this.#live];
      // A socket still in its handshake joins the set soon; ten times a second is often enough to see it.
      if (live.length === 0) await new Promise((resolve) => setTimeout(resolve, 100));
      await Promise.all(live.map(async ({ closed }) => await closed));
      ended.push(...live);
    }
    clearTimeout(deadline);
    this.#inner.close();
    const forced = ended.filter((live) => live.forced).length;
    return { closed: ended.length - forced, forced };
  }

  #onArrival(arrival: Arrival): void {
    const { identity } = this.#options;
    const verdict: CertificateVerdict =
      arrival.tls === undefined ? { kind: 'none' } : identity.inspect(arrival.tls.socket, arrival.tls.material.anchors);
    if (verdict.kind === 'refused') {
      this.#metrics.refused('certificate');
      this.#options.logger.warn({ rule: verdict.rule }, 'a certificate claims our trust domain without proof');
      arrival.socket.destroy();
      return;
    }
    const { socket, protocol } = arrival;
    const connection = describe(arrival, verdict);
    const session = protocol === 'h2' ? this.#inner.takeHttp2(arrival.stream) : undefined;
    const live = new LiveConnection(connection, socket, session);
    this.#owners.set(session ?? socket, live);
    this.#keep(live, verdict);
    if (protocol === 'http/1.1') this.#inner.takeHttp1(socket);
  }

  #keep(live: LiveConnection, verdict: CertificateVerdict): void {
    const { maxConnectionAgeMs, retireGraceMs } = this.#limits;
    const validForMs = 'validToMs' in verdict ? verdict.validToMs - this.#options.clock.now() : Infinity;
    this.#live.add(live);
    this.#metrics.opened(live.connection);
    live.endWithin(Math.min(maxConnectionAgeMs, validForMs), retireGraceMs);
    if (this.#draining !== undefined) live.retire(this.#draining);
    void live.closed.then(() => {
      this.#live.delete(live);
      this.#metrics.closed(live.connection);
    });
  }

  #onRequest(request: RawRequest, response: RawResponse): void {
    const owner = 'stream' in request ? request.stream.session : request.socket;
    const live = owner === undefined ? undefined : this.#owners.get(owner);
    if (live === undefined) return void response.destroy();
    live.begin(response);
    this.#options.identity.admit(request, live.connection);
    this.#options.handler(request, response);
  }

  #onUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
    const raw = rawErrorOf(error.code);
    const answering = this.#owners.get(socket)?.answering ?? false;
    if (raw === undefined || answering || !socket.writable) return void socket.destroy(error);
    this.#reject(socket, raw.reason, raw.status);
  }

  #reject(socket: Duplex, reason: Parameters<typeof writeRawError>[1]['reason'], status: number): void {
    this.#metrics.unreadable(reason);
    writeRawError(socket, { reason, status }, newId());
  }

  #onTlsChanged(next: TlsMaterial, before: TlsMaterial): void {
    this.#options.logger.info({}, 'TLS files changed and are in use');
    this.#observeCertificate();
    if (next.anchorsDigest === before.anchorsDigest) return;
    const { retireGraceMs } = this.#limits;
    for (const live of this.#live) live.retire({ graceMs: retireGraceMs, lingerMs: retireGraceMs / 2 });
  }

  #observeCertificate(): void {
    const material = this.#port.tls?.current;
    if (material !== undefined) this.#metrics.certificateNotAfter(material.notAfterMs);
  }
}

function describe({ socket, protocol, tls }: Arrival, verdict: CertificateVerdict): Connection {
  return {
    secure: tls !== undefined,
    protocol,
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    localAddress: socket.localAddress ?? '',
    peer: verdict.kind === 'known' ? verdict.caller : anonymous,
    certificate: verdict.kind === 'known' || verdict.kind === 'foreign' ? verdict.certificate : undefined,
    exportKeyingMaterial: (label, lengthBytes) => exportFrom(tls?.socket, label, lengthBytes),
  };
}

/** The context is empty on both ends: the label alone separates uses. */
function exportFrom(socket: TLSSocket | undefined, label: string, lengthBytes: number): Buffer | undefined {
  return socket?.exportKeyingMaterial(lengthBytes, label, Buffer.alloc(0));
}
