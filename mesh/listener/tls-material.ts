/**
 * Certificate, key and authorities from files, and the news when the files change.
 * It stands alone because rotation must never stop a port: a half-written pair keeps the old one.
 */
import { X509Certificate, constants, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { parseAnchors } from '#mesh/identity';
import type { Anchors } from '#mesh/identity';

/** Paths of PEM files; rotated by replacing them. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** MESH_CA_FILE: the only anchor of peers and operators. */
  readonly meshCaFile?: string | undefined;
  /** CLIENT_CA_FILE: anchors of certificates that mandates are bound to. */
  readonly clientCaFile?: string | undefined;
  /** How often the files are looked at; ten seconds when absent, well below any certificate's lifetime. */
  readonly reloadMs?: number | undefined;
}

export interface TlsMaterial {
  readonly context: SecureContextOptions;
  readonly anchors: Anchors;
  /** Changes with any file. */
  readonly digest: string;
  /** Changes with the authorities alone. */
  readonly anchorsDigest: string;
  /** When our own certificate expires. */
  readonly notAfterMs: number;
}

/** Throws when a file cannot be read, or certificate and key do not belong together. */
function readTlsMaterial(files: TlsFiles): TlsMaterial {
  const cert = readFileSync(files.certFile, 'utf8');
  const key = readFileSync(files.keyFile, 'utf8');
  const meshCa = files.meshCaFile === undefined ? '' : readFileSync(files.meshCaFile, 'utf8');
  const clientCa = files.clientCaFile === undefined ? '' : readFileSync(files.clientCaFile, 'utf8');
  const context: SecureContextOptions = {
    cert,
    key,
    ca: [meshCa, clientCa].filter((bundle) => bundle !== ''),
    minVersion: 'TLSv1.2',
    // Node does not look at an expired certificate again when a session is resumed, so there is no resumption.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
  createSecureContext(context);
  return {
    context,
    anchors: {
      mesh: meshCa === '' ? [] : parseAnchors(meshCa),
      client: clientCa === '' ? [] : parseAnchors(clientCa),
    },
    digest: digestOf([cert, key, meshCa, clientCa]),
    anchorsDigest: digestOf([meshCa, clientCa]),
    notAfterMs: new X509Certificate(cert).validToDate.getTime(),
  };
}

function digestOf(texts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}

const defaultReloadMs = 10_000;

export interface TlsWatch {
  readonly current: TlsMaterial;
  /** Looks at the files now. True when they changed and the new ones are in use. */
  reload(): boolean;
  stop(): void;
}

/** Watches by reading: file events are lost on the symbolic links and mounts that secrets come on. */
export function watchTlsMaterial(
  files: TlsFiles,
  hooks: { changed(next: TlsMaterial, before: TlsMaterial): void; failed(error: unknown): void },
): TlsWatch {
  let current = readTlsMaterial(files);
  const reload = (): boolean => {
    try {
      const next = readTlsMaterial(files);
      if (next.digest === current.digest) return false;
      const before = current;
      current = next;
      hooks.changed(next, before);
      return true;
    } catch (error) {
      hooks.failed(error);
      return false;
    }
  };
  const timer = setInterval(reload, files.reloadMs ?? defaultReloadMs);
  timer.unref();
  return {
    get current() {
      return current;
    },
    reload,
    stop: () => clearInterval(timer),
  };
}
