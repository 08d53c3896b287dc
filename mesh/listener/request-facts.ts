/**
 * Short ways from a request to what its connection knows.
 * They stand alone so that handlers ask here and never touch a socket.
 */
import { connectionCallerOf, connectionOf } from '#mesh/identity';
import type { ConnectionCaller } from '#mesh/identity';
import type { RawRequest } from './live-connection.ts';

/** Who the connection says is calling. */
export function peerOf(request: RawRequest): ConnectionCaller {
  return connectionCallerOf(request);
}

/** The address of the nearest hop; empty when the request did not come through a listener. */
export function remoteOf(request: RawRequest): string {
  return connectionOf(request)?.remoteAddress ?? '';
}

/** The label of RFC 5705 exporters of ours, when none is given. */
const authorizeLabel = 'EXPORTER-caracal-authorize-v1';
/** What a SHA-256 based proof can use. */
const exporterBytes = 32;

/** Keying material of the request's TLS connection with an empty context; empty on plaintext. */
export function tlsExporter(request: RawRequest, label: string = authorizeLabel): Buffer {
  return connectionOf(request)?.exportKeyingMaterial(label, exporterBytes) ?? Buffer.alloc(0);
}
