// What stands before the framework and beside it: the raw handler of a proxy, upgrades, and odd request targets.
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail } from '#mesh/failure';
import { requestIdOf, sendFailure } from '#mesh/http';
import { peerOf, remoteOf } from '#mesh/listener';
import { createTestAuthority, startMeshService } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

let authority: TestAuthority;
let files: CertificateFiles;
const services: { secure?: MeshService; plain?: MeshService } = {};

type Options = NonNullable<Parameters<typeof startMeshService>[0]>;

/** Everything but the reserved paths is the proxy's, as in the Gateway. */
const options: Options = {
  handlerBefore: (request, response) => {
    if (request.url === '/health') return false;
    if (request.url === '/refuse') sendFailure(response, fail('upstream_timeout'), requestIdOf(request));
    else response.end(JSON.stringify({ target: request.url, caller: peerOf(request).kind, remote: remoteOf(request) }));
    return true;
  },
  upgrade: (request, socket) => {
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.on('data', (chunk: Buffer) => void socket.write(chunk));
    socket.on('end', () => void socket.end());
  },
};

beforeAll(async () => {
  authority = await createTestAuthority();
  files = await authority.service('gateway');
  services.secure = await startMeshService({ ...options, tls: files });
  services.plain = await startMeshService(options);
});

afterAll(async () => {
  await services.secure?.[Symbol.asyncDispose]();
  await services.plain?.[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

function open(wire: 'secure' | 'plain', { port }: MeshService = services[wire]!) {
  const socket =
    wire === 'secure'
      ? connectTls({ host: '127.0.0.1', port, ca: files.ca, servername: 'localhost' })
      : connect({ host: '127.0.0.1', port });
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)));
  return { socket, closed, read: () => text };
}

describe.each(['secure', 'plain'] as const)('%s', (wire) => {
  const get = async (target: string, method = 'GET') => {
    const { socket, closed } = open(wire);
    const head = [`${method} ${target} HTTP/1.1`, 'Host: a', 'X-Request-Id: r-5', 'Connection: close'];
    socket.write(`${head.join('\r\n')}\r\n\r\n`, 'latin1');
    return await closed;
  };

  test.each(['/a/../b', '/a//b', '/%2e%2e/%2F', '/a;b?c=%zz', '*', 'http://other/x'])(
    'the raw handler gets the target %s as it was sent',
    async (target) => {
      const answer = await get(target, target === '*' ? 'OPTIONS' : 'GET');
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
      const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as { target: string; remote: string };
      expect(body.remote).toBe('127.0.0.1');
      expect(body.target).toBe(target);
    },
  );

  test('it gets every method, and answers failures in the one shape', async () => {
    for (const method of ['PROPFIND', 'PATCH', 'MKCOL', 'QUERY']) expect(await get('/x', method)).toMatch(/ 200 /);
    const refused = await get('/refuse');
    expect(refused).toMatch(/^HTTP\/1\.1 504 /);
    expect(refused).toContain('"requestId":"r-5"');
    expect(refused).toMatch(/x-request-id: r-5/i);
  });

  test('bytes beyond ASCII in a target are refused before it (RFC 9112 §3.2)', async () => {
    expect(await get('/\u00e9')).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('reserved paths stay with the framework', async () => {
    expect(await get('/health')).toContain('"status":"ok"');
  });

  test('an upgrade is handed over whole and counts as work until it ends', async () => {
    await using service = await startMeshService({ ...options, ...(wire === 'secure' ? { tls: files } : {}) });
    const { socket, closed, read } = open(wire, service);
    socket.write(
      'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n',
    );
    await expect.poll(read, { timeout: 10_000 }).toContain('HSmrc0sMlYUkAGmm5OPpG2HaGWk=');
    socket.write('ping');
    await expect.poll(read, { timeout: 10_000 }).toMatch(/ping$/);
    const drained = service.listener.drain(20_000);
    socket.write('pong');
    await expect.poll(read, { timeout: 10_000 }).toMatch(/pong$/);
    socket.end();
    await closed;
    await expect(drained).resolves.toEqual({ closed: 1, forced: 0 });
  });

  test('an upgrade to something else is an ordinary request', async () => {
    const { socket, closed } = open(wire);
    socket.write('GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n');
    expect(await closed).toMatch(/^HTTP\/1\.1 200 /);
  });
});
