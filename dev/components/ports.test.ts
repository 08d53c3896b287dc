import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { allOrFree, findFreePorts, isPortFree } from './ports.ts';

test('finds distinct ports that are free', async () => {
  const ports = await findFreePorts(20);
  expect(new Set(ports).size).toBe(20);
});

test.each(['127.0.0.1', '0.0.0.0'])('sees a port taken by a listener on %s', async (host) => {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await isPortFree(port)).toBe(false);
  server.close();
  await once(server, 'close');
  expect(await isPortFree(port)).toBe(true);
});

test('keeps the wanted ports when all are free', async () => {
  const wanted = await findFreePorts(3);
  expect(await allOrFree(wanted)).toEqual({ ports: wanted, asWanted: true });
});

test('gives up the whole wanted set when one of it is taken', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [other = 0] = await findFreePorts(1);
  const chosen = await allOrFree([other, port]);
  expect(chosen.asWanted).toBe(false);
  expect(chosen.ports).not.toContain(port);
  server.close();
});
