// Every protocol on the one port, over TLS and plaintext: Connect JSON and binary, gRPC, gRPC-Web, HTTP/1.1 and h2.
import { request as httpRequest } from 'node:http';
import { connect as connectH2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { FailureSchema, Reason } from '#gen/caracal/failure/v1/failure_pb';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { Failure } from '#mesh/failure';
import { createPeerTransport, failureFromConnect, outgoing } from '#mesh/rpc';
import { createTestAuthority, startMeshService, trustDomain } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

let authority: TestAuthority;
let audit: CertificateFiles;
let api: CertificateFiles;
let gateway: CertificateFiles;
const services: { secure?: MeshService; plain?: MeshService } = {};

beforeAll(async () => {
  authority = await createTestAuthority();
  [audit, api, gateway] = await Promise.all([
    authority.service('audit'),
    authority.service('api'),
    authority.service('gateway'),
  ]);
  services.secure = await startMeshService({ tls: audit });
  // Plaintext identities come from the declared mesh; the loopback hop counts as its proxy.
  services.plain = await startMeshService({
    meshIdentity: 'linkerd',
    meshPeers: { 'api.linkerd': 'api' },
    limits: { answeredLingerMs: 300 },
  });
});

afterAll(async () => {
  await services.secure?.[Symbol.asyncDispose]();
  await services.plain?.[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

const wires = ['secure', 'plain'] as const;
type Wire = (typeof wires)[number];

const versions = ['1.1', '2'] as const;

function optionsFor(wire: Wire) {
  const { url } = services[wire]!;
  const nodeOptions = wire === 'secure' ? { ca: api.ca, cert: api.cert, key: api.key } : {};
  const asPeer = wire === 'plain' ? { 'l5d-client-id': 'api.linkerd' } : {};
  const identified = (next: (request: never) => Promise<never>) => async (request: { header: Headers }) => {
    for (const [name, value] of Object.entries(asPeer)) request.header.set(name, value);
    return await next(request as never);
  };
  return { baseUrl: url, nodeOptions, interceptors: [identified as never] };
}

const transports: Record<string, (wire: Wire, httpVersion: '1.1' | '2') => Transport> = {
  'Connect JSON': (wire, httpVersion) =>
    createConnectTransport({ ...optionsFor(wire), httpVersion, useBinaryFormat: false }),
  'Connect binary': (wire, httpVersion) =>
    createConnectTransport({ ...optionsFor(wire), httpVersion, useBinaryFormat: true }),
  'gRPC-Web': (wire, httpVersion) => createGrpcWebTransport({ ...optionsFor(wire), httpVersion }),
  gRPC: (wire) => createGrpcTransport(optionsFor(wire)),
};

const cases = wires.flatMap((wire) =>
  Object.keys(transports).flatMap((name) =>
    versions.filter((version) => name !== 'gRPC' || version === '2').map((version) => ({ wire, name, version })),
  ),
);

describe.each(cases)('$name over HTTP/$version, $wire', ({ wire, name, version }) => {
  const client = () => createClient(AuditService, transports[name]!(wire, version));

  test('answers a unary call', async () => {
    const { entries } = await client().getTrace({ zoneId: 'z1', requestId: 'r1' });
    expect(entries[0]?.event).toMatchObject({ zoneId: 'z1', requestId: 'r1' });
  });

  test('streams answers to the last', async () => {
    const seen: bigint[] = [];
    for await (const { checked } of client().verifyRange({ zoneId: 'z1', toSeq: 5n })) seen.push(checked);
    expect(seen).toEqual([1n, 2n, 3n, 4n, 5n]);
  });

  test('refuses with code, detail and request id, and leaks nothing', async () => {
    const error = await client()
      .getTrace({ zoneId: 'z1', requestId: 'crash' }, outgoing({ requestId: 'req-1' }))
      .catch((caught: unknown) => ConnectError.from(caught));
    expect(error).toBeInstanceOf(ConnectError);
    if (!(error instanceof ConnectError)) return;
    expect(error.code).toBe(Code.Internal);
    expect(error.message).not.toContain('secret');
    const [detail] = error.findDetails(FailureSchema);
    expect(detail).toMatchObject({ reason: Reason.INTERNAL_ERROR, requestId: 'req-1', retryable: false });
  });

  test('names each broken field and never its value', async () => {
    const failure = await client()
      .getTrace({ zoneId: 'no spaces allowed', requestId: '' })
      .catch((error: unknown) => failureFromConnect(error));
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({
      reason: 'invalid_request',
      fields: [{ path: 'zone_id' }, { path: 'request_id', rule: 'required' }],
    });
    expect(JSON.stringify(failure)).not.toContain('no spaces');
  });

  test('answers health', async () => {
    const health = createClient(Health, transports[name]!(wire, version));
    await expect(health.check({ service: 'caracal.audit.v1.AuditService' })).resolves.toMatchObject({ status: 1 });
    await expect(health.check({ service: 'unknown.Service' })).rejects.toMatchObject({ code: Code.NotFound });
  });

  test('refuses a message over 1 MiB', async () => {
    const big = { zoneId: 'z1', requestId: 'x'.repeat(1_100_000) };
    const error = await client()
      .getTrace(big)
      .catch((caught: unknown) => ConnectError.from(caught));
    expect(error).toMatchObject({ code: Code.ResourceExhausted });
    if (!(error instanceof ConnectError)) return;
    expect(error.findDetails(FailureSchema)[0]).toMatchObject({ reason: Reason.PAYLOAD_TOO_LARGE });
  });
});

describe('a body refused half read', () => {
  const rpc = '/caracal.audit.v1.AuditService/GetTrace';

  test.each(wires)('does not hold an HTTP/1.1 connection, %s', async (wire) => {
    const transport = createConnectTransport({ ...optionsFor(wire), httpVersion: '1.1', useBinaryFormat: false });
    const client = createClient(AuditService, transport);
    for (let round = 0; round < 5; round += 1) {
      const big = client.getTrace({ zoneId: 'z', requestId: 'x'.repeat(1_100_000) });
      await expect(big).rejects.toMatchObject({ code: Code.ResourceExhausted });
      await expect(client.getTrace({ zoneId: 'z', requestId: 'r' })).resolves.toBeDefined();
    }
  });

  test.each(['application/json', 'application/grpc', 'application/grpc-web'])(
    'does not hold an h2 stream, %s',
    async (type) => {
      const session = connectH2(services.plain!.url);
      for (let round = 0; round < 5; round += 1) {
        const asked = { ':path': rpc, ':method': 'POST', 'content-type': type, 'l5d-client-id': 'api.linkerd' };
        const stream = session.request(asked);
        const closed = new Promise((resolve) => stream.once('close', resolve));
        stream.on('error', () => undefined);
        stream.resume();
        // Not a whole message, and no end: the refusal comes while the client still could send.
        stream.write(Buffer.alloc(1_500_000, 1));
        await closed;
        expect(stream.destroyed).toBe(true);
      }
      session.close();
    },
  );
});

describe('messages that cannot be read', () => {
  const rpc = 'caracal.audit.v1.AuditService/GetTrace';
  const peer = { 'l5d-client-id': 'api.linkerd', 'x-request-id': 'bad-1' };
  const post = async (type: string, body: string | Uint8Array<ArrayBuffer>, path = rpc) =>
    await fetch(`${services.plain!.url}/${path}`, {
      method: 'POST',
      headers: { ...peer, 'content-type': type },
      body,
    });

  test.each([
    ['a field of the wrong type', 'application/json', '{"zone_id":{"topsecret":1}}'],
    ['an unknown field', 'application/json', '{"topsecret":1}'],
    ['no JSON', 'application/json', '{topsecret'],
    ['no message', 'application/proto', 'topsecret'],
  ])('%s is invalid_argument with detail, and nothing is quoted', async (_what, type, body) => {
    const answer = await post(type, body);
    const text = await answer.text();
    expect(answer.status).toBe(400);
    expect(text).not.toContain('topsecret');
    expect(JSON.parse(text)).toMatchObject({
      code: 'invalid_argument',
      details: [
        { type: 'caracal.failure.v1.Failure', debug: { reason: 'REASON_INVALID_REQUEST', requestId: 'bad-1' } },
      ],
    });
  });

  test.each(['application/grpc-web+proto', 'application/connect+proto'])('a broken frame of %s too', async (type) => {
    const path = type.includes('connect') ? rpc.replace('GetTrace', 'VerifyRange') : rpc;
    const answer = await post(type, Uint8Array.from([0, 0, 0, 0, 4, 255, 255, 255, 255]), path);
    const text = await answer.text();
    expect(answer.status).toBe(200);
    expect(text).toMatch(/grpc-status-details-bin|caracal\.failure\.v1\.Failure/);
    expect(text).toMatch(/grpc-status: 3|invalid_argument/);
  });

  test('a wrong method and a foreign type are told in the shape of the HTTP edges', async () => {
    const got = await fetch(`${services.plain!.url}/${rpc}`, { headers: peer });
    expect(got.status).toBe(405);
    expect(got.headers.get('allow')).toBe('POST');
    expect(await got.json()).toMatchObject({ error: 'method_not_allowed', requestId: 'bad-1' });
    const type = await post('text/html', 'x');
    expect(type.status).toBe(415);
    expect(await type.json()).toMatchObject({ error: 'unsupported_media_type', requestId: 'bad-1' });
  });
});

describe('a peer client of ours', () => {
  const peer = (files: CertificateFiles, expectService: 'audit' | 'sts' = 'audit') =>
    createPeerTransport({ url: services.secure!.url, expectService, tls: files, trustDomain });

  test('calls, and brings request id and trace along', async () => {
    await using transport = peer(api);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const client = createClient(AuditService, transport);
    const { entries } = await client.getTrace(
      { zoneId: 'z', requestId: 'r' },
      outgoing({ requestId: 'q-7', traceparent }),
    );
    expect(entries[0]?.event).toMatchObject({ eventType: 'q-7', traceId: '0af7651916cd43dd8448eb211c80319c' });
  });

  test('refuses a server that is another service than the one meant', async () => {
    await using transport = peer(api, 'sts');
    const client = createClient(StsService, transport);
    const error = await client.policyStatus({ zoneId: 'z' }).catch((caught: unknown) => caught);
    expect(failureFromConnect(error, { unavailable: 'sts_unavailable' }).reason).toBe('sts_unavailable');
  });

  test('refuses a server of another authority', async () => {
    await using foreign = await createTestAuthority('foreign root');
    await using transport = peer({ ...api, caFile: (await foreign.service('api')).caFile });
    const client = createClient(AuditService, transport);
    const error = await client.getTrace({ zoneId: 'z', requestId: 'r' }).catch((caught: unknown) => caught);
    expect(failureFromConnect(error, { unavailable: 'audit_unavailable' }).reason).toBe('audit_unavailable');
  });

  test('reads back retry advice and safe details', async () => {
    await using transport = peer(api);
    const client = createClient(AuditService, transport);
    const limited = await client.getTrace({ zoneId: 'z', requestId: 'limited' }).catch(failureFromConnectDefault);
    expect(limited).toMatchObject({ reason: 'rate_limited', retryAfterMs: 1500 });
    const missing = await client.getTrace({ zoneId: 'z', requestId: 'not-found' }).catch(failureFromConnectDefault);
    expect(missing).toMatchObject({ reason: 'not_found', details: { hint: 'ask again' } });
  });

  test('keeps to its deadline', async () => {
    await using transport = peer(api);
    const client = createClient(AuditService, transport);
    const call = client.getTrace({ zoneId: 'z', requestId: 'slow-5000' }, outgoing({ timeoutMs: 50 }));
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  });

  test('shares the same keying material with the server on both ends of one stream', async () => {
    await using transport = peer(gateway);
    const client = createClient(StsService, transport);
    const input = async function* () {
      yield { frame: { case: 'heartbeat' as const, value: {} } };
      await new Promise((resolve) => setTimeout(resolve, 50));
    };
    const answers = client.authorize(input(), outgoing({ requestId: 'stream-1' }))[Symbol.asyncIterator]();
    const first = await answers.next();
    const ours = transport.tlsExporter('stream-1');
    expect(ours).toHaveLength(32);
    const hello = first.value?.frame;
    expect(hello?.case === 'hello' && Buffer.from(hello.value.random)).toEqual(ours);
    await expect(answers.next()).resolves.toMatchObject({ value: { frame: { case: 'heartbeat' } } });
    await expect(answers.next()).resolves.toMatchObject({ done: true });
  });
});

function failureFromConnectDefault(error: unknown): Failure {
  return failureFromConnect(error);
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

async function ask(
  wire: Wire,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
) {
  const { port } = services[wire]!;
  const { method = 'GET', headers = {}, body } = options;
  const tls = { ca: audit.ca, servername: 'localhost' };
  const base = { host: '127.0.0.1', port, path, method, headers: { ...headers, connection: 'close' } };
  return await new Promise<Answer>((resolve, reject) => {
    const request = wire === 'secure' ? httpsRequest({ ...base, ...tls }) : httpRequest(base);
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    request.end(body);
  });
}

describe.each(wires)('a plain HTTP/1.1 client, %s', (wire) => {
  test('reads health, readiness and metrics', async () => {
    expect(await ask(wire, '/health')).toMatchObject({ status: 200 });
    expect(JSON.parse((await ask(wire, '/ready')).body)).toMatchObject({ status: 'ready', dependencies: {} });
    expect((await ask(wire, '/metrics')).body).toContain('caracal_audit_connections_total');
  });

  test('keeps a good request id and replaces a bad one', async () => {
    const kept = await ask(wire, '/health', { headers: { 'x-request-id': 'abc.DEF:1-2_3' } });
    expect(kept.headers['x-request-id']).toBe('abc.DEF:1-2_3');
    const replaced = await ask(wire, '/health', { headers: { 'x-request-id': 'a b' } });
    expect(replaced.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('tells unknown paths, wrong methods and wrong content types apart', async () => {
    const missing = await ask(wire, '/nowhere', { headers: { 'x-request-id': 'r9' } });
    expect(missing.status).toBe(404);
    expect(JSON.parse(missing.body)).toMatchObject({ error: 'not_found', requestId: 'r9' });
    const method = await ask(wire, '/health', { method: 'DELETE' });
    expect(method).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    expect(await ask(wire, '/health', { method: 'PROPFIND' })).toMatchObject({ status: 405 });
    const rpc = '/caracal.audit.v1.AuditService/GetTrace';
    const type = await ask(wire, rpc, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' });
    expect(type.status).toBe(415);
  });
});
