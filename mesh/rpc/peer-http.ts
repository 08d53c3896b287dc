/**
 * Plain HTTP reads from a peer (its JWKS, its health) over the same mutual TLS as RPCs.
 * It stands alone because public HTTP documents of a service are read by its peers too, and must be read from that service.
 */
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { Agent, request } from 'undici';
import { serviceIdentity, uriNames } from '#mesh/identity';
import type { PeerSessionOptions } from './peer-session.ts';

export interface PeerHttpAnswer {
  readonly status: number;
  readonly text: string;
}

export interface PeerHttp extends AsyncDisposable {
  /** Rejects when the peer has not answered in full within the deadline, or with more than the bound. */
  get(path: string, options?: { readonly deadlineMs?: number; readonly maxBytes?: number }): Promise<PeerHttpAnswer>;
}

const defaultDeadlineMs = 2_000;
/** Documents read this way are key sets and probes. */
const defaultMaxBytes = 65_536;
/** The agent is made anew this often, so that a rotated certificate is used. */
const agentLifeMs = 60_000;

export function createPeerHttp(options: Omit<PeerSessionOptions, 'reloadMs'>): PeerHttp {
  let agent: Agent | undefined;
  let madeAtMs = 0;
  const currentAgent = (): Agent => {
    const nowMs = performance.now();
    if (agent === undefined || nowMs - madeAtMs > agentLifeMs) {
      void agent?.close().catch(() => undefined);
      agent = createAgent(options);
      madeAtMs = nowMs;
    }
    return agent;
  };
  return {
    get: async (path, { deadlineMs = defaultDeadlineMs, maxBytes = defaultMaxBytes } = {}) => {
      const answer = await request(new URL(path, options.url), {
        dispatcher: currentAgent(),
        signal: AbortSignal.timeout(deadlineMs),
        headers: { accept: 'application/json' },
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new Error('the peer answered with more than was asked for');
        chunks.push(chunk);
      }
      return { status: answer.statusCode, text: Buffer.concat(chunks).toString('utf8') };
    },
    [Symbol.asyncDispose]: async () => {
      await agent?.destroy().catch(() => undefined);
    },
  };
}

function createAgent({ tls, trustDomain, expectService }: PeerSessionOptions): Agent {
  if (tls === undefined) return new Agent({ allowH2: false });
  const expected = trustDomain === undefined ? undefined : serviceIdentity(trustDomain, expectService);
  return new Agent({
    allowH2: false,
    connect: {
      cert: readFileSync(tls.certFile),
      key: readFileSync(tls.keyFile),
      ca: readFileSync(tls.caFile),
      rejectUnauthorized: tls.verifyServer !== false,
      // Who answers is judged by its SPIFFE id alone; a resumed session would show no certificate to judge.
      checkServerIdentity: (_host, certificate) => notThePeer(certificate, expected),
      maxCachedSessions: 0,
    },
  });
}

function notThePeer(certificate: PeerCertificate, expected: string | undefined): Error | undefined {
  const names = uriNames(certificate.subjectaltname);
  return names.length === 1 && names[0] === expected
    ? undefined
    : new Error('the server is not the service that is meant');
}
