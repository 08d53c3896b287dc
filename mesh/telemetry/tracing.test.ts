import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { childTrace, startTracing, traceFrom } from './index.ts';

interface Received {
  readonly url: string | undefined;
  readonly body: string;
}

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** A receiver of traces on loopback that keeps what it is sent. */
async function receiver(): Promise<{ endpoint: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ url: request.url, body: Buffer.concat(chunks).toString('utf8') });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

describe('tracing', () => {
  test('is off and costs nothing without an endpoint', async () => {
    await using tracing = await startTracing({ endpoint: undefined, service: 'sts' });
    expect(tracing.enabled).toBe(false);
    tracing.record({ name: 'x', trace: traceFrom(), startMs: 0, endMs: 1 });
  });

  test('sends spans under the ids that travelled with the request', async () => {
    const { endpoint, received } = await receiver();
    const parent = traceFrom('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
    const child = childTrace(parent);
    {
      await using tracing = await startTracing({
        endpoint: `${endpoint}/`,
        service: 'sts',
        mode: 'dev',
        replica: 'r1',
      });
      expect(tracing.enabled).toBe(true);
      const span = { startMs: 1_700_000_000_000, endMs: 1_700_000_000_250 };
      tracing.record({ ...span, name: 'POST /oauth/2/token', trace: parent, kind: 'server', error: 'policy_denied' });
      tracing.record({ ...span, name: 'opa', trace: child, kind: 'client', attributes: { 'rpc.system': 'http' } });
    }
    expect(received.map(({ url }) => url)).toEqual(['/v1/traces']);
    const body = received[0]?.body ?? '';
    for (const id of [parent.traceId, parent.spanId, child.spanId, '00f067aa0ba902b7']) expect(body).toContain(id);
    for (const word of ['POST /oauth/2/token', 'policy_denied', 'caracal-sts', 'rpc.system', 'r1']) {
      expect(body).toContain(word);
    }
  });
});
