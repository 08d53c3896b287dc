import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findOpa } from './opa-binary.ts';
import { opaRelease, opaVersion } from './opa-release.ts';
import { startOpa } from './opa.ts';
import type { RunningOpa } from './opa.ts';

/** Where no OPA is at hand yet, this test is the first to want it and waits for the build. */
const firstBuildMilliseconds = 900_000;
let folder: string;
let running: RunningOpa | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-opa-'));
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const script = '#!/bin/sh\necho "Version: 1.0.0"\n';
const scriptDigest = createHash('sha256').update(script).digest('hex');

/** A PATH with the shell alone, and a cache of its own. */
function emptyMachine(): Record<string, string> {
  return { PATH: join(folder, 'bin'), HOME: folder, XDG_CACHE_HOME: join(folder, 'cache') };
}

async function withReleaseServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  const server = createServer((_request, response) => response.end(script)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/opa`);
  } finally {
    server.close();
  }
}

/** A release that refuses the connection at once. */
const noRelease = { url: 'http://127.0.0.1:1/opa', sha256: '' };

test('takes an OPA 1.x from PATH, and no older one', async () => {
  const environment = emptyMachine();
  mkdirSync(join(folder, 'bin'));
  const onPath = join(folder, 'bin', 'opa');
  writeFileSync(onPath, script, { mode: 0o755 });
  expect(await findOpa({ environment, release: noRelease, goFolders: [] })).toBe(onPath);
  writeFileSync(onPath, script.replace('1.0.0', '0.70.0'));
  await expect(findOpa({ environment, release: noRelease, goFolders: [] })).rejects.toThrow(/put an opa 1.x on PATH/);
});

test('keeps a release whose checksum is the pinned one, and takes it from the cache afterwards', async () => {
  const environment = emptyMachine();
  const path = await withReleaseServer((url) => findOpa({ environment, release: { url, sha256: scriptDigest } }));
  expect(path).toBe(join(folder, 'cache', 'caracal', `opa-${opaVersion}`));
  expect(readFileSync(path, 'utf8')).toBe(script);
  expect(await findOpa({ environment, release: noRelease, goFolders: [] })).toBe(path);
});

test('refuses a release with another checksum and leaves nothing of it', async () => {
  const environment = emptyMachine();
  const attempt = withReleaseServer((url) =>
    findOpa({ environment, release: { url, sha256: '0'.repeat(64) }, goFolders: [] }),
  );
  await expect(attempt).rejects.toThrow(/expected 0000/);
  expect(readdirSync(join(folder, 'cache', 'caracal'))).toEqual([]);
});

test('does not run a cached binary that is no longer what was put there', async () => {
  const environment = emptyMachine();
  const path = await withReleaseServer((url) => findOpa({ environment, release: { url, sha256: scriptDigest } }));
  writeFileSync(path, `${script}# changed`);
  chmodSync(path, 0o755);
  await expect(findOpa({ environment, release: noRelease, goFolders: [] })).rejects.toThrow(/there is no OPA/);
});

test('gets it once for many that want it at the same time', async () => {
  const environment = emptyMachine();
  const said: string[] = [];
  await withReleaseServer(async (url) => {
    const options = { environment, release: { url, sha256: scriptDigest }, say: (line: string) => said.push(line) };
    const paths = await Promise.all([findOpa(options), findOpa(options), findOpa(options)]);
    expect(new Set(paths).size).toBe(1);
  });
  expect(said.filter((line) => line.startsWith('downloading'))).toHaveLength(1);
});

test('names the four ways when none works', async () => {
  const failure = await findOpa({ environment: emptyMachine(), release: noRelease, goFolders: [] }).catch(
    (error: unknown) => String(error),
  );
  for (const way of ['PATH', 'github.com', 'Go', 'OPA_URL']) expect(failure).toContain(way);
});

test.each(['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'])('pins a release for %s', (platform) => {
  const [system = '', architecture = ''] = platform.split('-');
  expect(opaRelease(system, architecture)?.sha256).toMatch(/^[0-9a-f]{64}$/);
});

test(
  'starts an OPA that answers only to its token and bounds what it reads',
  async () => {
    const token = 'the-token-of-this-test';
    running = await startOpa({
      dataDirectory: join(folder, 'data'),
      logFile: join(folder, 'opa.log'),
      token,
      environment: process.env,
    });
    const { url } = running;
    const authorization = `Bearer ${token}`;
    const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${url}${path}`, init);
    expect((await ask('/v1/data')).status).toBe(401);
    expect((await ask('/v1/data', { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    expect((await ask('/v1/policies', { method: 'GET' })).status).toBe(401);
    const module = 'package caracal.example\nresult := input.x + 1';
    expect(
      (await ask('/v1/policies/example', { method: 'PUT', body: module, headers: { authorization } })).status,
    ).toBe(200);
    const body = JSON.stringify({ input: { x: 1 } });
    const answer = await ask('/v1/data/caracal/example/result', { method: 'POST', body, headers: { authorization } });
    expect(await answer.json()).toEqual({ result: 2 });
    const large = JSON.stringify({ input: 'x'.repeat(9 * 1024 * 1024) });
    const refused = await ask('/v1/data/caracal', { method: 'POST', body: large, headers: { authorization } });
    expect(refused.status).toBe(400);
    expect(await (await ask('/v1/policies', { headers: { authorization } })).text()).not.toContain(token);
    expect(existsSync(join(folder, 'opa.log'))).toBe(true);
  },
  firstBuildMilliseconds,
);
