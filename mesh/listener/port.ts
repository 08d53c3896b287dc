/**
 * The one port: accepts sockets, finishes TLS or looks at the first bytes, and says which protocol each speaks.
 * It stands alone because both ways in end in the same three facts: socket, protocol, bytes already read.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { ListenerLimits } from './limits.ts';
import { sniffPreface } from './preface.ts';
import { SniffedSocket } from './sniffed-socket.ts';
import { watchTlsMaterial } from './tls-material.ts';
import type { TlsFiles, TlsMaterial, TlsWatch } from './tls-material.ts';

export interface Arrival {
  readonly socket: Socket;
  readonly protocol: 'h2' | 'http/1.1';
  /** What the protocol's server reads: the socket itself, or a Duplex that gives the sniffed bytes first. */
  readonly stream: Duplex;
  /** Present when the connection is TLS. */
  readonly tls: { readonly socket: TLSSocket; readonly material: TlsMaterial } | undefined;
}

export interface PortHooks {
  onArrival(arrival: Arrival): void;
  /** A plaintext client that sent part of a preface and stopped. */
  onLatePreface(socket: Socket): void;
  onRefused(why: 'too_many_connections' | 'tls_handshake'): void;
  onTlsChanged(next: TlsMaterial, before: TlsMaterial): void;
  onTlsUnreadable(error: unknown): void;
}

export interface Port {
  listen(host: string, port: number): Promise<{ port: number }>;
  /** Stops accepting; open connections stay. */
  stopAccepting(): void;
  /** Ends sockets whose protocol is not known yet. */
  destroyPending(): void;
  readonly pendingCount: number;
  readonly tls: TlsWatch | undefined;
}

export function createPort(tlsFiles: TlsFiles | undefined, limits: ListenerLimits, hooks: PortHooks): Port {
  const pending = new Set<Socket>();
  const { server, watch } =
    tlsFiles === undefined
      ? { server: plaintextServer(limits, hooks, pending), watch: undefined }
      : secureServer({ files: tlsFiles, limits, hooks });
  server.on('connection', (socket: Socket) => track(socket, pending));
  server.maxConnections = limits.maxConnections;
  server.on('drop', () => hooks.onRefused('too_many_connections'));
  return {
    listen: async (host, port) => await listening(server, host, port),
    stopAccepting: () => {
      watch?.stop();
      if (server.listening) server.close();
    },
    destroyPending: () => {
      for (const socket of pending) socket.destroy();
    },
    get pendingCount() {
      return pending.size;
    },
    tls: watch,
  };
}

function track(socket: Socket, pending: Set<Socket>): void {
  pending.add(socket);
  socket.setNoDelay(true);
  // Dead peers behind a NAT are noticed; 30 s is below the usual idle cut of such boxes.
  socket.setKeepAlive(true, 30_000);
  socket.once('close', () => pending.delete(socket));
  // An error of a socket closes it; without a listener it would end the process.
  socket.on('error', () => undefined);
}

async function listening(server: Server, host: string, port: number): Promise<{ port: number }> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return { port: (server.address() as AddressInfo).port };
}

function plaintextServer(limits: ListenerLimits, hooks: PortHooks, pending: Set<Socket>): Server {
  return createServer((socket) => {
    sniffPreface(socket, limits.handshakeTimeoutMs, ({ kind, head }) => {
      pending.delete(socket);
      switch (kind) {
        case 'gone':
          socket.destroy();
          return;
        case 'late':
          hooks.onLatePreface(socket);
          return;
        case 'http/1.1':
          socket.unshift(head);
          hooks.onArrival({ socket, protocol: kind, stream: socket, tls: undefined });
          return;
        case 'h2':
          hooks.onArrival({ socket, protocol: kind, stream: new SniffedSocket(socket, head), tls: undefined });
      }
    });
  });
}

interface SecureServerParts {
  readonly files: TlsFiles;
  readonly limits: ListenerLimits;
  readonly hooks: PortHooks;
}

function secureServer({ files, limits, hooks }: SecureServerParts): { server: Server; watch: TlsWatch } {
  const watch = watchTlsMaterial(files, {
    changed: (next, before) => {
      server.setSecureContext(next.context);
      hooks.onTlsChanged(next, before);
    },
    failed: (error) => hooks.onTlsUnreadable(error),
  });
  const server = createTlsServer({
    ...watch.current.context,
    ALPNProtocols: ['h2', 'http/1.1'],
    // Asked for, never demanded: probes, browsers and readers of public keys have none.
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeTimeoutMs,
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    const protocol = socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1';
    hooks.onArrival({ socket, protocol, stream: socket, tls: { socket, material: watch.current } });
  });
  server.on('tlsClientError', (_error, socket) => {
    hooks.onRefused('tls_handshake');
    socket.destroy();
  });
  return { server, watch };
}
