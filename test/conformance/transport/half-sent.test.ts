// Requests that never finish arriving are answered 408 on every wire, and limits hold before any handler runs.
import { connect as connectH2 } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestAuthority, startMeshService } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

const limits = { handshakeTimeoutMs: 600, headersTimeoutMs: 600, requestTimeoutMs: 900, maxConnections: 64 };

let authority: TestAuthority;
let files: CertificateFiles;
let secure: MeshService;
let plain: MeshService;

beforeAll(async () => {
  authority = await createTestAuthority();
  files = await authority.service('audit');
  const http = async (
    app: Parameters<NonNullable<Parameters<typeof startMeshService>[0] & object>['http'] & object>[0],
  ) => {
    app.post('/echo', async (request) => ({ got: request.body ?? null }));
  };
  secure = await startMeshService({ tls: files, limits, http });
  plain = await startMeshService({ limits, http });
});

afterAll(async () => {
  await secure[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

/** Sends bytes and gives everything that comes back until the server closes. */
async function converse(wire: 'secure' | 'plain', bytes: string): Promise<string> {
  return await new Promise((resolve) => {
    const socket =
      wire === 'secure'
        ? connectTls({ host: '127.0.0.1', port: secure.port, ca: files.ca, servername: 'localhost' })
        : connect({ host: '127.0.0.1', port: plain.port });
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
    socket.write(bytes);
  });
}

const body = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"a":';
const chunked =
  'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a"';

describe.each(['secure', 'plain'] as const)('HTTP/1.1, %s', (wire) => {
  test.each([
    ['a request line', 'GET /hea'],
    ['headers', 'GET /health HTTP/1.1\r\nHost: a\r\nX-Slow'],
    ['a body', body],
    ['a chunked body', chunked],
  ])('half of %s is answered 408 in the one error shape', async (_what, bytes) => {
    const answer = await converse(wire, bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    const json: unknown = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
    expect(json).toMatchObject({ error: 'request_timeout', requestId: expect.any(String) });
  });

  test.each([
    ['oversized headers', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['no Host', 'GET /health HTTP/1.1\r\n\r\n', 400],
    [
      'both framings (RFC 9112 §6.1)',
      `${chunked.replace('Host: a', 'Host: a\r\nContent-Length: 5')}}\r\n0\r\n\r\n`,
      400,
    ],
    ['a bare LF in a field', 'GET /health HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n', 400],
    ['folded fields (RFC 9112 §5.2)', 'GET /health HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n', 400],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 405],
  ])('refuses %s', async (_what, bytes, status) => {
    expect(await converse(wire, bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });
});

test('half a preface is answered 408, silence is closed', async () => {
  expect(await converse('plain', 'PR')).toMatch(/^HTTP\/1\.1 408 /);
  expect(await converse('plain', '')).toBe('');
});

test('PROPFIND, which begins like the h2 preface, is HTTP/1.1', async () => {
  const answer = await converse('plain', 'PROPFIND /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 405 /);
});

test('plaintext on the TLS port is closed and counted', async () => {
  const answer = await new Promise<string>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: secure.port });
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
  });
  expect(answer).not.toContain('HTTP/1.1 2');
  const { text } = await secure.metrics.render();
  expect(text).toContain('caracal_audit_connections_refused_total{reason="tls_handshake"}');
});

describe.each(['secure', 'plain'] as const)('h2, %s', (wire) => {
  const open = () => {
    const { url } = wire === 'secure' ? secure : plain;
    return connectH2(url, wire === 'secure' ? { ca: files.ca } : {});
  };

  test('half a body is answered 408', async () => {
    const session = open();
    const stream = session.request({ ':method': 'POST', ':path': '/echo', 'content-type': 'application/json' });
    const status = new Promise<number | undefined>((resolve) =>
      stream.on('response', (headers) => resolve(headers[':status'])),
    );
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => (text += chunk));
    const ended = new Promise((resolve) => stream.on('end', resolve));
    stream.write('{"a":');
    expect(await status).toBe(408);
    await ended;
    expect(JSON.parse(text)).toMatchObject({ error: 'request_timeout' });
    session.destroy();
  });

  test('a flood of cancelled streams costs the connection', async () => {
    const session = open();
    const closed = new Promise((resolve) => session.on('close', resolve));
    session.on('error', () => undefined);
    await new Promise((resolve) => session.on('connect', resolve));
    for (let at = 0; at < 3000 && !session.destroyed; at += 1) {
      const stream = session.request({ ':path': '/health' });
      stream.on('error', () => undefined);
      stream.close(8);
      if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    expect(session.destroyed).toBe(true);
  });
});

test('connections beyond the limit are dropped and counted', async () => {
  const sockets = Array.from({ length: 80 }, () => connect({ host: '127.0.0.1', port: plain.port }));
  for (const socket of sockets) socket.on('error', () => undefined);
  await expect
    .poll(async () => (await plain.metrics.render()).text, { timeout: 10_000 })
    .toContain('too_many_connections');
  for (const socket of sockets) socket.destroy();
});
