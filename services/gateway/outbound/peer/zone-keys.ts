// Reads a zone's verification keys from the STS, over the same mutual TLS as every other call to it.
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { Agent, request } from 'undici';
import { parseStrictJson } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import { serviceIdentity, uriNames } from '#mesh/identity';
import type { Jwks } from '#mesh/mandate';
import type { PeerTls } from '#mesh/rpc';
import type { Clock } from '#mesh/time';

export interface ZoneKeysOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly stsUrl: URL;
  /** Undefined: plaintext (a declared mesh, or dev). */
  readonly tls: PeerTls | undefined;
  readonly trustDomain: string;
}

export interface ZoneKeys extends AsyncDisposable {
  /** Undefined when there is no such zone. Rejects with `sts_unavailable` when nobody can say within two seconds. */
  fetchJwks(zoneId: string): Promise<Jwks | undefined>;
}

// A zone has a handful of keys of 200 bytes.
const maxBytes = 65_536;
const deadlineMs = 2000;
// The agent is made anew this often, so that a rotated certificate is used.
const agentLifeMs = 60_000;

export function createZoneKeys(options: ZoneKeysOptions): ZoneKeys {
  let agent: Agent | undefined;
  let madeAtMs = 0;

  function currentAgent(): Agent {
    const now = options.clock.monotonic();
    if (agent === undefined || now - madeAtMs > agentLifeMs) {
      void agent?.close().catch(() => undefined);
      agent = createAgent(options);
      madeAtMs = now;
    }
    return agent;
  }

  async function get(path: string): Promise<{ status: number; text: string }> {
    const url = new URL(path, options.stsUrl);
    const signal = AbortSignal.timeout(deadlineMs);
    const answer = await request(url, { dispatcher: currentAgent(), signal, headers: { accept: 'application/json' } });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new Error('the answer is larger than any key set');
      chunks.push(chunk);
    }
    return { status: answer.statusCode, text: Buffer.concat(chunks).toString('utf8') };
  }

  return {
    async fetchJwks(zoneId) {
      try {
        const { status, text } = await get(`/zones/${encodeURIComponent(zoneId)}/.well-known/jwks.json`);
        if (status === 404 || status === 400) return undefined;
        if (status !== 200) throw new Error(`status ${status}`);
        return readJwks(text);
      } catch (error) {
        throw fail('sts_unavailable', { privateDetail: 'zone keys could not be read', cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      await agent?.destroy().catch(() => undefined);
    },
  };
}

function readJwks(text: string): Jwks {
  const value = parseStrictJson(text, { maxBytes, maxDepth: 8 });
  if (typeof value !== 'object' || value === null || !('keys' in value) || !Array.isArray(value['keys'])) {
    throw new Error('not a key set');
  }
  return { keys: value['keys'] };
}

function createAgent({ tls, trustDomain }: ZoneKeysOptions): Agent {
  if (tls === undefined) return new Agent({ allowH2: false });
  const expected = serviceIdentity(trustDomain, 'sts');
  return new Agent({
    allowH2: false,
    connect: {
      cert: readFileSync(tls.certFile),
      key: readFileSync(tls.keyFile),
      ca: readFileSync(tls.caFile),
      // Who answers is judged by its SPIFFE id alone; a resumed session would show no certificate to judge.
      checkServerIdentity: (_host, certificate) => notTheSts(certificate, expected),
      maxCachedSessions: 0,
    },
  });
}

function notTheSts(certificate: PeerCertificate, expected: string): Error | undefined {
  const names = uriNames(certificate.subjectaltname);
  return names.length === 1 && names[0] === expected ? undefined : new Error('the certificate is not the STS’s');
}
