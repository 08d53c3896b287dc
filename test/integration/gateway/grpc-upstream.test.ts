// Upstreams that speak HTTP/2 without TLS, as gRPC servers in a cluster do: frames in both directions and trailers.
import { connect, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { startBed, until, type Bed } from './gateway-bed.ts';

let bed: Bed;
let server: Http2Server;
let port: number;
let handle: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void = () => undefined;

beforeAll(async () => {
  server = createServer();
  server.on('stream', (stream, headers) => handle(stream as ServerHttp2Stream, headers));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
  bed = await startBed({ env: { UPSTREAM_DEV_LOOPBACK_HOSTS: `127.0.0.1:${port}` } });
  bed.sts.decide = () => ({
    allow: {
      upstreamUrl: `http://127.0.0.1:${port}`,
      headerName: 'authorization',
      headerValue: 'Bearer upstream-secret',
    },
  });
  await bed.addResource({ identifier: 'grpc', kind: 'grpc' });
});
afterAll(async () => {
  await bed[Symbol.asyncDispose]();
  server.close();
});

function call(claims: object = {}) {
  const client = connect(`https://localhost:${bed.port}`, { ca: bed.authority.authority.certificatePem });
  const token = bed.sts.mandate(bed.zoneId, { target: ['grpc'], ...claims });
  const stream = client.request({
    ':method': 'POST',
    ':path': '/demo.Service/Method',
    authorization: `Bearer ${token}`,
    'x-caracal-resource': 'grpc',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  return { client, stream };
}

test('messages flow both ways and the status comes in the trailers', async () => {
  let seen: Record<string, unknown> = {};
  handle = (stream, headers) => {
    seen = headers;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.on('data', (chunk: Buffer) => stream.write(`echo:${chunk.toString()}`));
    stream.on('end', () => stream.end());
  };
  const { client, stream } = call();
  let text = '';
  let trailers: Record<string, unknown> = {};
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  stream.on('trailers', (got) => (trailers = got));
  stream.write('one');
  await until(() => text === 'echo:one', 'the first echo');
  stream.end('two');
  await new Promise((resolve) => stream.on('close', resolve));
  client.close();
  expect(text).toBe('echo:oneecho:two');
  expect(trailers['grpc-status']).toBe('0');
  expect(seen).toMatchObject({
    te: 'trailers',
    authorization: 'Bearer upstream-secret',
    ':path': '/demo.Service/Method',
  });
});

test('a revoked stream is reset on both sides', async () => {
  let upstreamClosed = false;
  handle = (stream) => {
    stream.respond({ ':status': 200 });
    stream.write('open');
    stream.on('error', () => undefined);
    stream.on('close', () => (upstreamClosed = true));
  };
  const sid = newId();
  const { client, stream } = call({ sid, root_sid: sid });
  await new Promise((resolve) => stream.once('data', resolve));
  await bed.revoke([{ kind: 'session', anchor: sid }]);
  await until(() => stream.closed && upstreamClosed, 'both resets');
  expect(stream.rstCode).not.toBe(0);
  client.destroy();
});
