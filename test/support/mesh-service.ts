/**
 * A small service on the real mesh libraries and the real contracts, with canned answers, for tests of the fabric.
 * It stands alone so that transport and identity are proven without any service's rules in the way.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ConnectRouter } from '@connectrpc/connect';
import { createAuthority, issueCertificate } from '../../dev/certificates.ts';
import type { Authority, CertificateOptions } from '../../dev/certificates.ts';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import type { AuthorizeResponseSchema } from '#gen/caracal/sts/v1/sts_pb';
import { fail } from '#mesh/failure';
import { createHealth } from '#mesh/health';
import type { Health } from '#mesh/health';
import type { MeshIdentity, RefusedCall } from '#mesh/identity';
import type { ZoneId } from '#mesh/ids';
import type { Listener, ListenerLimits } from '#mesh/listener';
import { callFactsOf, callerOf, parseFields } from '#mesh/rpc';
import { createSurface } from '#mesh/runtime';
import type { Surface, SurfaceOptions } from '#mesh/runtime';
import { createMetrics, silentLogger } from '#mesh/telemetry';
import type { Logger, Metrics } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import type { Clock } from '#mesh/time';
import type { ServiceName } from '#mesh/topology';

export const trustDomain = 'caracal.test';

/** Files of a certificate, as settings name them. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** A certificate authority with a folder of its own, gone with disposal. */
export interface TestAuthority extends AsyncDisposable {
  readonly authority: Authority;
  readonly folder: string;
  issue(name: string, options: Omit<CertificateOptions, 'commonName'>): Promise<CertificateFiles>;
  service(name: ServiceName): Promise<CertificateFiles>;
  operator(name: string): Promise<CertificateFiles>;
}

export async function createTestAuthority(commonName = 'test root'): Promise<TestAuthority> {
  const authority = await createAuthority({ commonName });
  const folder = await mkdtemp(join(tmpdir(), 'caracal-ca-'));
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, authority.certificatePem);
  const issue: TestAuthority['issue'] = async (name, options) => {
    const local = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1'] };
    const issued = await issueCertificate(authority, { commonName: name, ...local, ...options });
    const certFile = join(folder, `${name}.pem`);
    const keyFile = join(folder, `${name}.key`);
    await writeFile(certFile, issued.certificatePem);
    await writeFile(keyFile, issued.privateKeyPem, { mode: 0o600 });
    const texts = { cert: issued.certificatePem, key: issued.privateKeyPem, ca: authority.certificatePem };
    return { certFile, keyFile, caFile, ...texts };
  };
  return {
    authority,
    folder,
    issue,
    service: async (name) => await issue(name, { uris: [`spiffe://${trustDomain}/caracal/${name}`] }),
    operator: async (name) => await issue(`operator-${name}`, { uris: [`spiffe://${trustDomain}/operator/${name}`] }),
    [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }),
  };
}

export interface MeshServiceOptions {
  /** Absent: plaintext. */
  readonly tls?: CertificateFiles;
  readonly clientCaFile?: string;
  readonly mode?: 'dev' | 'stable';
  readonly metricsBearer?: string;
  readonly meshIdentity?: MeshIdentity;
  readonly meshPeers?: Record<string, ServiceName>;
  readonly limits?: Partial<ListenerLimits>;
  readonly verifyBearer?: (token: string) => Promise<unknown>;
  readonly http?: SurfaceOptions['http'];
  readonly handlerBefore?: SurfaceOptions['handlerBefore'];
  readonly upgrade?: SurfaceOptions['upgrade'];
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface MeshService extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly listener: Listener;
  readonly surface: Surface;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly refused: readonly RefusedCall[];
  /** Callers of calls that reached a handler, in order. */
  readonly callers: readonly string[];
}

/** Starts it on a free loopback port. Any service name would do; it is served under the rules of `audit`. */
export async function startMeshService(options: MeshServiceOptions = {}): Promise<MeshService> {
  const refused: RefusedCall[] = [];
  const callers: string[] = [];
  const health = createHealth({ checks: {} });
  const metrics = createMetrics('audit', { process: false });
  const { tls, clientCaFile, mode = 'dev', metricsBearer, meshIdentity, meshPeers } = options;
  const surface = await createSurface({
    service: 'audit',
    settings: {
      host: '127.0.0.1',
      port: 0,
      tlsCertFile: tls?.certFile,
      tlsKeyFile: tls?.keyFile,
      meshCaFile: tls?.caFile,
      clientCaFile,
      meshTrustDomain: trustDomain,
      meshIdentity,
      meshPeers,
      metricsBearer,
    },
    mode,
    logger: options.logger ?? silentLogger,
    metrics,
    health,
    clock: options.clock ?? createClock(),
    verifyBearer: options.verifyBearer,
    rpc: (router) => addCannedAnswers(router, callers),
    onRefused: (call) => void refused.push(call),
    http: options.http,
    handlerBefore: options.handlerBefore,
    upgrade: options.upgrade,
    limits: options.limits,
  });
  const { port } = await surface.listener.listen();
  return {
    port,
    url: `${tls === undefined ? 'http' : 'https'}://localhost:${port}`,
    listener: surface.listener,
    surface,
    health,
    metrics,
    refused,
    callers,
    [Symbol.asyncDispose]: async () => await surface[Symbol.asyncDispose](),
  };
}

/** GetTrace answers with its own question; `slow-<ms>` waits, `fail-<reason>` fails; VerifyRange streams `to_seq` steps. */
function addCannedAnswers(router: ConnectRouter, callers: string[]): void {
  router.service(AuditService, {
    getTrace: async (request, context) => {
      callers.push(JSON.stringify(callerOf(context)));
      const { zoneId, requestId } = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        requestId: fields.text('request_id', request.requestId, { max: 128 }),
      }));
      const slow = /^slow-(\d+)$/.exec(requestId)?.[1];
      if (slow !== undefined) await new Promise((resolve) => setTimeout(resolve, Number(slow)));
      if (requestId === 'not-found') throw fail('not_found', { details: { hint: 'ask again' } });
      if (requestId === 'limited') throw fail('rate_limited', { retryAfterMs: 1500 });
      if (requestId === 'crash') throw new Error('secret inner words');
      const facts = callFactsOf(context);
      const event = { zoneId, requestId, eventType: facts.requestId, traceId: facts.trace.traceId };
      return { entries: [{ seq: 1n, event }] };
    },
    async *verifyRange(request, context) {
      for (let at = 1n; at <= request.toSeq; at += 1n) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (context.signal.aborted) return;
        yield { checked: at, total: request.toSeq, done: at === request.toSeq };
      }
    },
  });
  router.service(StsService, {
    async *authorize(requests, context): AsyncGenerator<MessageInitShape<typeof AuthorizeResponseSchema>> {
      const exporter = callFactsOf(context).connection?.exportKeyingMaterial('EXPORTER-caracal-authorize-v1', 32);
      yield { frame: { case: 'hello', value: { random: exporter ?? new Uint8Array() } } };
      for await (const { frame } of requests) {
        if (frame.case === 'heartbeat') yield { frame: { case: 'heartbeat', value: {} } };
      }
    },
    policyStatus: async ({ zoneId }) => ({ loaded: zoneId !== '' }),
  });
}
