import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findFreePort } from '../components/ports.ts';
import { choosePorts } from './stack-ports.ts';

let folder: string;
let path: string;
let taken: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-ports-'));
  path = join(folder, 'ports.json');
});
afterEach(() => {
  for (const server of taken) server.close();
  taken = [];
  rmSync(folder, { recursive: true, force: true });
});

/** Takes a port unless someone has it already: either way it is taken. */
async function take(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  await Promise.race([once(server, 'listening'), once(server, 'error')]).catch(() => undefined);
  taken.push(server);
}

test('takes free ports for all when one familiar port is taken', async () => {
  await take(3000);
  const { ports, origin } = await choosePorts(path, undefined);
  expect(origin).toBe('free');
  expect(new Set(Object.values(ports)).size).toBe(9);
  for (const familiar of [8080, 3000, 8081, 4000, 9090]) expect(Object.values(ports)).not.toContain(familiar);
});

test('keeps what it chose', async () => {
  await take(3000);
  const first = await choosePorts(path, undefined);
  expect(await choosePorts(path, undefined)).toEqual({ ports: first.ports, origin: 'kept' });
});

test('replaces a kept store port by itself and kept service ports together', async () => {
  await take(3000);
  const first = await choosePorts(path, undefined);
  await take(first.ports.redis);
  const second = await choosePorts(path, undefined);
  expect(second.origin).toBe('kept');
  expect(second.ports).toEqual({ ...first.ports, redis: second.ports.redis });
  expect(second.ports.redis).not.toBe(first.ports.redis);
  await take(first.ports.gateway);
  const third = await choosePorts(path, undefined);
  expect(third.origin).toBe('free');
  expect(third.ports.sts).not.toBe(first.ports.sts);
});

test('counts from the base it is given and keeps that too', async () => {
  const base = 1024 + ((await findFreePort()) % 50_000);
  const { ports } = await choosePorts(path, String(base)).catch(() => choosePorts(path, String(base + 20)));
  expect(ports.api).toBe(ports.sts + 1);
  expect(ports.opa).toBe(ports.sts + 8);
  expect(await choosePorts(path, undefined)).toEqual({ ports, origin: 'kept' });
});

test('refuses a base with a taken port and a base that is none', async () => {
  const port = await findFreePort();
  await take(port);
  await expect(choosePorts(path, String(port))).rejects.toThrow(`port ${port} (sts) is taken`);
  for (const base of ['80', '65530', 'abc', '3000.5']) {
    await expect(choosePorts(path, base)).rejects.toThrow('CARACAL_PORT_BASE must be a number');
  }
});
