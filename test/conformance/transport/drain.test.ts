// Draining under load loses nothing: every request that reached the server is answered whole, and none is half done.
import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { connect as connectH2, constants } from 'node:http2';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { createTestAuthority, startMeshService } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

let authority: TestAuthority;
let files: CertificateFiles;
let operator: CertificateFiles;

beforeAll(async () => {
  authority = await createTestAuthority();
  files = await authority.service('audit');
  operator = await authority.operator('olga');
});

afterAll(async () => await authority[Symbol.asyncDispose]());

type App = Parameters<NonNullable<NonNullable<Parameters<typeof startMeshService>[0]>['http']>>[0];

/** Request ids that reached a handler. */
const seen = new Set<string>();

const routes = async (app: App) => {
  app.get('/work', async ({ id }) => {
    seen.add(id);
    await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 20));
    return { done: true };
  });
  app.get('/hang', async () => await new Promise(() => undefined));
};

interface Tally {
  answered: number;
  notTaken: number;
  lost: string[];
}

/** One keep-alive connection asking as fast as it is answered, until a new connection is refused. */
async function askOverHttp1({ port, url }: MeshService, tally: Tally): Promise<void> {
  const isTls = url.startsWith('https');
  const kept = { keepAlive: true, maxSockets: 1 };
  const agent = isTls ? new TlsAgent({ ...kept, ca: files.ca, servername: 'localhost' }) : new Agent(kept);
  const ask = isTls ? httpsRequest : httpRequest;
  for (let isOpen = true; isOpen;) {
    isOpen = await new Promise<boolean>((resolve) => {
      const request = ask({ host: '127.0.0.1', port, path: '/work', agent }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('aborted', () => {
          tally.lost.push('aborted');
          resolve(false);
        });
        response.on('end', () => {
          if (text === '{"done":true}') tally.answered += 1;
          else tally.lost.push(text);
          resolve(true);
        });
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') tally.notTaken += 1;
        else tally.lost.push(String(error.code));
        resolve(false);
      });
      request.end();
    });
  }
  agent.destroy();
}

/**
 * One session with eight streams at a time, until the server says goodbye. A request that the client's own library had
 * not sent yet when the goodbye came ends as REFUSED_STREAM: not lost, when the server never saw it (RFC 9113 §8.7).
 */
async function askOverH2(service: MeshService, tally: Tally): Promise<void> {
  const session: ClientHttp2Session = connectH2(service.url, service.url.startsWith('https') ? { ca: files.ca } : {});
  session.on('error', () => undefined);
  const ask = async () =>
    await new Promise<void>((resolve) => {
      const id = randomUUID();
      const stream = session.request({ ':path': '/work', 'x-request-id': id });
      let text = '';
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('error', () => undefined);
      stream.on('close', () => {
        const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
        if (text === '{"done":true}') tally.answered += 1;
        else if (isRefused && !seen.has(id)) tally.notTaken += 1;
        else tally.lost.push(`code ${stream.rstCode} text ${text}`);
        resolve();
      });
    });
  const lane = async () => {
    while (!session.closed && !session.destroyed) await ask();
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  session.close();
}

describe.each(['plain', 'secure'] as const)('%s', (wire) => {
  const start = async () => await startMeshService({ ...(wire === 'secure' ? { tls: files } : {}), http: routes });

  test('h2 requests in flight and on their way are all answered', async () => {
    await using service = await start();
    const tally: Tally = { answered: 0, notTaken: 0, lost: [] };
    const clients = Array.from({ length: 4 }, async () => await askOverH2(service, tally));
    await expect.poll(() => tally.answered, { timeout: 20_000 }).toBeGreaterThan(200);
    const { forced } = await service.listener.drain(20_000);
    await Promise.all(clients);
    expect(tally.lost).toEqual([]);
    expect(forced).toBe(0);
  });

  test('a peer that vanished holds nothing up', async () => {
    await using service = await start();
    const { port } = service;
    const secure = { host: '127.0.0.1', port, ca: files.ca, servername: 'localhost', ALPNProtocols: ['h2'] };
    const socket = wire === 'secure' ? connectTls(secure) : connect({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    // The client preface and empty SETTINGS (RFC 9113 §3.4): a session is open, and nobody says goodbye.
    socket.write(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
    );
    await new Promise((resolve) => socket.once('data', resolve));
    expect(service.listener.connectionCount).toBe(1);
    socket.destroy();
    await expect.poll(() => service.listener.connectionCount, { timeout: 10_000 }).toBe(0);
  });

  test('streams run to their end', async () => {
    await using service = await start();
    const nodeOptions = wire === 'secure' ? { ca: operator.ca, cert: operator.cert, key: operator.key } : {};
    const transport = createConnectTransport({ baseUrl: service.url, httpVersion: '2', nodeOptions });
    // Plaintext knows no operator; the health stream stands in there.
    if (wire === 'plain') {
      const statuses: number[] = [];
      const watching = (async () => {
        for await (const { status } of createClient(Health, transport).watch({})) statuses.push(status);
      })();
      await expect.poll(() => statuses.length, { timeout: 10_000 }).toBe(1);
      service.health.drain();
      const { forced } = await service.listener.drain(20_000);
      await watching;
      expect(statuses).toEqual([1, 2]);
      expect(forced).toBe(0);
      return;
    }
    const client = createClient(AuditService, transport);
    let seen = 0n;
    const reading = (async () => {
      for await (const { checked } of client.verifyRange({ zoneId: 'z', toSeq: 60n })) seen = checked;
    })();
    await expect.poll(() => Number(seen), { timeout: 10_000 }).toBeGreaterThan(3);
    const { forced } = await service.listener.drain(20_000);
    await reading;
    expect(seen).toBe(60n);
    expect(forced).toBe(0);
  });
});

test.each(['plain', 'secure'])('HTTP/1.1 requests on kept-alive connections are all answered, %s', async (wire) => {
  await using service = await startMeshService({ ...(wire === 'secure' ? { tls: files } : {}), http: routes });
  const tally: Tally = { answered: 0, notTaken: 0, lost: [] };
  const clients = Array.from({ length: 8 }, async () => await askOverHttp1(service, tally));
  await expect.poll(() => tally.answered, { timeout: 20_000 }).toBeGreaterThan(100);
  const { forced } = await service.listener.drain(20_000);
  await Promise.all(clients);
  expect(tally.lost).toEqual([]);
  expect(tally.notTaken).toBe(8);
  expect(forced).toBe(0);
});

test('work that does not end is cut when the grace is over, and counted', async () => {
  await using service = await startMeshService({ http: routes });
  const cut = new Promise<string>((resolve) => {
    const request = httpRequest({ host: '127.0.0.1', port: service.port, path: '/hang' });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    request.end();
  });
  await expect.poll(() => service.listener.connectionCount, { timeout: 10_000 }).toBe(1);
  await expect(service.listener.drain(300)).resolves.toEqual({ closed: 0, forced: 1 });
  expect(await cut).toBe('ECONNRESET');
});

test('a draining replica is not ready and stays alive', async () => {
  await using service = await startMeshService();
  service.health.drain();
  const ready = await fetch(`${service.url}/ready`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({ status: 'not_ready', reason: 'draining' });
  expect((await fetch(`${service.url}/health`)).status).toBe(200);
});
