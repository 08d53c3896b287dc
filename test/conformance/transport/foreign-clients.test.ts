// Clients that nobody here wrote: buf curl and grpcurl with reflection and a client certificate, and grpc-js.
import { join } from 'node:path';
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runToEnd } from '../../../dev/components/executables.ts';
import { findGrpcurl } from '#test/grpcurl';
import type { FoundGrpcurl } from '#test/grpcurl';
import { createTestAuthority, startMeshService } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

const root = join(import.meta.dirname, '..', '..', '..');
const environment = process.env;
const question = JSON.stringify({ zone_id: 'z1', request_id: 'r1' });
const rpcs = [
  'caracal.audit.v1.AuditService/GetTrace',
  'caracal.audit.v1.AuditService/ReadInputs',
  'caracal.audit.v1.AuditService/SearchEvents',
  'caracal.audit.v1.AuditService/VerifyRange',
];

let authority: TestAuthority;
let audit: CertificateFiles;
let operator: CertificateFiles;
let secure: MeshService;
let plain: MeshService;
let grpcurl: FoundGrpcurl;

beforeAll(async () => {
  authority = await createTestAuthority();
  audit = await authority.service('audit');
  operator = await authority.operator('olga');
  secure = await startMeshService({ tls: audit, mode: 'stable' });
  plain = await startMeshService({ meshIdentity: 'linkerd', meshPeers: { 'api.linkerd': 'api' } });
  grpcurl = await findGrpcurl(environment);
}, 660_000);

afterAll(async () => {
  await secure[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

async function run(command: string, args: readonly string[]): Promise<string> {
  const result = await runToEnd(command, args, { environment, limitMilliseconds: 50_000 });
  if (result.kind === 'failed') throw new Error(result.message);
  return result.output;
}

describe('buf curl', () => {
  const curl = async (args: string[]) => await run(join(root, 'node_modules', '.bin', 'buf'), ['curl', ...args]);
  const asOperator = () => ['--cacert', audit.caFile, '--cert', operator.certFile, '--key', operator.keyFile];

  test('lists services and methods by reflection with a client certificate', async () => {
    const services = await curl([...asOperator(), '--list-services', secure.url]);
    expect(services.trim().split('\n')).toEqual([
      'caracal.audit.v1.AuditService',
      'caracal.sts.v1.StsService',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
    const methods = await curl([...asOperator(), '--list-methods', secure.url]);
    for (const rpc of rpcs) expect(methods).toContain(rpc);
  });

  test.each(['grpc', 'grpcweb', 'connect'])('calls over %s', async (protocol) => {
    const flags = [...asOperator(), '--protocol', protocol, '--data', question];
    const answer = JSON.parse(await curl([...flags, `${secure.url}/${rpcs[0]}`])) as unknown;
    expect(answer).toMatchObject({ entries: [{ event: { zoneId: 'z1', requestId: 'r1' } }] });
  });

  test('is refused reflection without a certificate', async () => {
    await expect(curl(['--cacert', audit.caFile, '--list-services', secure.url])).rejects.toThrow(/not authenticated/i);
  });

  test('calls plaintext h2c', async () => {
    const flags = ['--http2-prior-knowledge', '--protocol', 'grpc', '--data', question];
    const peer = ['-H', 'l5d-client-id: api.linkerd'];
    const answer = JSON.parse(await curl([...flags, ...peer, `${plain.url}/${rpcs[0]}`])) as unknown;
    expect(answer).toMatchObject({ entries: [{ event: { zoneId: 'z1' } }] });
  });
});

describe('grpcurl', () => {
  const files = () => ['-cacert', audit.caFile, '-cert', operator.certFile, '-key', operator.keyFile];
  const address = (service: MeshService) => `localhost:${service.port}`;

  /** Without Go there is no grpcurl; the report says so plainly, and buf curl above stands for the rule. */
  const curl = async (args: string[]): Promise<string | undefined> => {
    if (grpcurl.kind === 'found') return await run(grpcurl.path, args);
    process.stderr.write(`grpcurl could not be tried: ${grpcurl.why}\n`);
    return undefined;
  };

  test('is there wherever Go is', () => {
    const hasGo = grpcurl.kind === 'found' || !grpcurl.why.includes('there is no go');
    expect(grpcurl.kind).toBe(hasGo ? 'found' : 'absent');
  });

  test('lists, describes and calls over mutual TLS', async () => {
    const listed = await curl([...files(), address(secure), 'list', 'caracal.audit.v1.AuditService']);
    if (listed === undefined) return;
    expect(listed.trim().split('\n')).toEqual(rpcs.map((rpc) => rpc.replace('/', '.')));
    const described = await curl([...files(), address(secure), 'describe', 'caracal.audit.v1.GetTraceRequest']);
    expect(described).toContain('string zone_id = 1;');
    const answer = await curl([...files(), '-d', question, address(secure), rpcs[0]!]);
    expect(JSON.parse(answer ?? '')).toMatchObject({ entries: [{ event: { requestId: 'r1' } }] });
    const health = await curl([...files(), address(secure), 'grpc.health.v1.Health/Check']);
    expect(JSON.parse(health ?? '')).toEqual({ status: 'SERVING' });
  });

  test('lists and calls over plaintext', async () => {
    const listed = await curl(['-plaintext', address(plain), 'list']);
    if (listed === undefined) return;
    expect(listed).toContain('caracal.audit.v1.AuditService');
    const asApi = ['-plaintext', '-H', 'l5d-client-id: api.linkerd', '-d', question];
    expect(await curl([...asApi, address(plain), rpcs[0]!])).toContain('"requestId": "r1"');
  });
});

interface Trace {
  readonly entries: readonly { readonly event: { readonly zone_id: string } }[];
}

interface AuditClient {
  GetTrace(request: object, done: (error: ServiceError | null, answer: Trace) => void): void;
  VerifyRange(request: object): AsyncIterable<{ readonly checked: string }>;
  close(): void;
}

describe('grpc-js', () => {
  const open = (service: MeshService, channel: ReturnType<typeof credentials.createInsecure>): AuditClient => {
    const files = loadSync('caracal/audit/v1/audit.proto', {
      includeDirs: [join(root, 'proto')],
      keepCase: true,
      longs: String,
    });
    const loaded = loadPackageDefinition(files) as unknown as {
      caracal: { audit: { v1: { AuditService: new (address: string, channel: unknown) => AuditClient } } };
    };
    return new loaded.caracal.audit.v1.AuditService(`localhost:${service.port}`, channel);
  };
  const tls = () => credentials.createSsl(Buffer.from(audit.ca), Buffer.from(operator.key), Buffer.from(operator.cert));
  const ask = async (client: AuditClient, request: object) =>
    await new Promise<Trace>((resolve, reject) => {
      client.GetTrace(request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });

  test('calls and streams over mutual TLS', async () => {
    const client = open(secure, tls());
    const answer = await ask(client, { zone_id: 'z1', request_id: 'r1' });
    expect(answer.entries[0]?.event.zone_id).toBe('z1');
    const seen: string[] = [];
    for await (const { checked } of client.VerifyRange({ zone_id: 'z1', to_seq: 4 })) seen.push(checked);
    expect(seen).toEqual(['1', '2', '3', '4']);
    client.close();
  });

  test('gets the status and the detail of a failure', async () => {
    const client = open(secure, tls());
    const error = await ask(client, { zone_id: 'z1', request_id: 'not-found' }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: status.NOT_FOUND });
    const details = (error as ServiceError).metadata.get('grpc-status-details-bin');
    expect(details).toHaveLength(1);
    client.close();
  });

  test('is refused without an identity', async () => {
    const client = open(plain, credentials.createInsecure());
    await expect(ask(client, { zone_id: 'z', request_id: 'r' })).rejects.toMatchObject({
      code: status.UNAUTHENTICATED,
    });
    client.close();
  });

  test('keeps working through a drain: calls in flight end, new ones are refused', async () => {
    const service = await startMeshService({ tls: audit });
    const client = open(service, tls());
    await ask(client, { zone_id: 'z', request_id: 'r' });
    const slow = ask(client, { zone_id: 'z', request_id: 'slow-400' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const drained = service.listener.drain(10_000);
    await expect(slow).resolves.toMatchObject({ entries: [{ event: { zone_id: 'z' } }] });
    await expect(drained).resolves.toMatchObject({ forced: 0 });
    await expect(ask(client, { zone_id: 'z', request_id: 'r' })).rejects.toMatchObject({ code: status.UNAVAILABLE });
    client.close();
    await service[Symbol.asyncDispose]();
  });
});
