import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createUpstreamClient } from './upstream-client-undici.ts';

it('two zones with the same upstream share no connection', async () => {
  const ports: (number | undefined)[] = [];
  const server = createServer((request, response) => {
    ports.push(request.socket.remotePort);
    response.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const upstream = { origin: `http://127.0.0.1:${port}`, host: '127.0.0.1', port, basePath: '' };
  const client = createUpstreamClient({
    own: () => ({ endpoints: [] }),
    rules: { loopbackHosts: [{ host: '127.0.0.1', port }], privateHosts: 'any', plaintext: 'anywhere' },
    connectTimeoutMs: 5000,
  });
  const call = async (zoneId: string): Promise<number | undefined> => {
    const answered = Promise.withResolvers<number | undefined>();
    let status: number | undefined;
    client.send(
      { zoneId, upstream, target: '/', method: 'GET', headers: [], body: undefined, http2: false },
      {
        mayStart: () => true,
        head: (received) => (status = received),
        data: () => true,
        end: () => answered.resolve(status),
        fault: () => answered.resolve(undefined),
      },
    );
    const received = await answered.promise;
    // The connection is free again after the turn in which its answer ended.
    await new Promise((resolve) => setTimeout(resolve, 5));
    return received;
  };
  for (const zoneId of ['a', 'a', 'b', 'a']) expect(await call(zoneId)).toBe(200);
  const [first, second, other, third] = ports;
  expect(second).toBe(first);
  expect(other).not.toBe(first);
  expect(third).toBe(first);
  await client[Symbol.asyncDispose]();
  await new Promise((resolve) => server.close(resolve));
});
