/**
 * The one h2 connection of a peer client, renewed when its certificate files change.
 * It stands alone because TLS here checks who the server is, not what its host is called.
 */
import { X509Certificate, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ClientHttp2Stream, SecureClientSessionOptions } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { Http2SessionManager } from '@connectrpc/connect-node';
import { serviceIdentity, uriNames } from '#mesh/identity';
import type { ServiceName } from '#mesh/topology';

export interface PeerTls {
  readonly certFile: string;
  readonly keyFile: string;
  /** MESH_CA_FILE: the only anchor. */
  readonly caFile: string;
  /** False believes whoever answers (INSECURE_STS, which published modes refuse); our own certificate is shown all the same. */
  readonly verifyServer?: boolean | undefined;
}

export interface PeerSessionOptions {
  readonly url: string;
  readonly expectService: ServiceName;
  readonly tls: PeerTls | undefined;
  /** MESH_TRUST_DOMAIN; needed with `tls`. */
  readonly trustDomain: string | undefined;
  /** How often the files are looked at; ten seconds when absent. */
  readonly reloadMs?: number | undefined;
}

const defaultReloadMs = 10_000;
/** A silent peer is found out within this and the next number; both far below the 15 s after which streams give up. */
const pingIntervalMs = 10_000;
const pingTimeoutMs = 4_000;
/** An unused connection is closed before any middle box forgets it. */
const idleMs = 60_000;

interface Files {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

function readFiles({ certFile, keyFile, caFile }: PeerTls): Files {
  const read = (file: string) => readFileSync(file, 'utf8');
  return { cert: read(certFile), key: read(keyFile), ca: read(caFile) };
}

/** Refuses a server that is not the one service meant; chain, validity and purpose were OpenSSL's part. */
function checkIdentity(raw: Uint8Array, expected: string | undefined): Error | undefined {
  const uris = uriNames(new X509Certificate(raw).subjectAltName);
  return uris.length === 1 && uris[0] === expected
    ? undefined
    : new Error('the server is not the service that is meant');
}

type RequestParameters = Parameters<Http2SessionManager['request']>;

/** What connect-node asks of a session manager, over one that is replaced when files change. */
export class PeerSession {
  readonly authority: string;
  readonly #options: PeerSessionOptions;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #streams = new Map<string, ClientHttp2Stream>();
  #manager: Http2SessionManager;
  #digest: string;

  /** Throws when a file cannot be read. */
  constructor(options: PeerSessionOptions) {
    this.#options = options;
    const files = options.tls === undefined ? undefined : readFiles(options.tls);
    this.#digest = digestOf(files);
    this.#manager = this.#createManager(files);
    this.authority = this.#manager.authority;
    if (options.tls !== undefined) {
      this.#timer = setInterval(() => this.reload(), options.reloadMs ?? defaultReloadMs);
      this.#timer.unref();
    }
  }

  async request(...[method, path, headers, options]: RequestParameters): Promise<ClientHttp2Stream> {
    const stream = await this.#manager.request(method, path, headers, options);
    const requestId = headers['x-request-id'];
    if (typeof requestId === 'string') {
      this.#streams.set(requestId, stream);
      stream.once('close', () => {
        if (this.#streams.get(requestId) === stream) this.#streams.delete(requestId);
      });
    }
    return stream;
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    this.#manager.notifyResponseByteRead(stream);
  }

  /**
   * Keying material of the TLS connection that carries the open call with this request id (empty context, RFC 8446
   * §7.5); empty on plaintext, undefined when no such call is open.
   */
  exporter(requestId: string, label: string, lengthBytes: number): Buffer | undefined {
    const stream = this.#streams.get(requestId);
    if (stream === undefined) return undefined;
    const socket = stream.session?.socket as Partial<TLSSocket> | undefined;
    if (this.#options.tls === undefined) return Buffer.alloc(0);
    return socket?.exportKeyingMaterial?.(lengthBytes, label, Buffer.alloc(0));
  }

  /** Looks at the files now; new calls use new ones at once, open calls end on the old connection. */
  reload(): boolean {
    const { tls } = this.#options;
    if (tls === undefined) return false;
    let files: Files;
    try {
      files = readFiles(tls);
      new X509Certificate(files.cert);
    } catch {
      // A half-written file: what is in use stays in use until the next look.
      return false;
    }
    const digest = digestOf(files);
    if (digest === this.#digest) return false;
    this.#digest = digest;
    this.#manager = this.#createManager(files);
    return true;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#manager.abort();
  }

  #createManager(files: Files | undefined): Http2SessionManager {
    const { url, expectService, trustDomain, tls } = this.#options;
    const expected = trustDomain === undefined ? undefined : serviceIdentity(trustDomain, expectService);
    const secure: SecureClientSessionOptions =
      files === undefined
        ? {}
        : {
            ...files,
            minVersion: 'TLSv1.2',
            rejectUnauthorized: tls?.verifyServer !== false,
            checkServerIdentity: (_host, certificate) => checkIdentity(certificate.raw, expected),
          };
    return new Http2SessionManager(
      url,
      { pingIntervalMs, pingTimeoutMs, idleConnectionTimeoutMs: idleMs },
      { settings: { enablePush: false }, ...secure },
    );
  }
}

function digestOf(files: Files | undefined): string {
  return createHash('sha256')
    .update(JSON.stringify(files ?? null))
    .digest('hex');
}
