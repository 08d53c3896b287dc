import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { isRunning } from '../process-identity.mjs';
import { stacksFolder } from '../test/run-folder.ts';
import { bringDown, bringUp } from './control.ts';
import type { UpOutcome } from './control.ts';
import { stackLayout } from './layout.ts';
import type { Layout } from './layout.ts';
import { isWhole } from './report.ts';
import { readRunFile } from './run-file.ts';
import type { RunRecord } from './run-file.ts';

/** Answers `/ready` over TLS like a service, and tells the environment it was given to whoever asks otherwise. */
const readyService = `
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
const { TLS_CERT_FILE, TLS_KEY_FILE, PORT, LISTEN_HOST } = process.env;
createServer({ cert: readFileSync(TLS_CERT_FILE), key: readFileSync(TLS_KEY_FILE) }, (request, response) => {
  response.end(request.url === '/ready' ? 'ready' : JSON.stringify(process.env));
}).listen(Number(PORT), LISTEN_HOST);
process.on('SIGTERM', () => process.exit(0));
`;
const brokenService = `console.error('the setting FOO is missing'); process.exit(78);`;
const silentService = `setInterval(() => undefined, 1000);`;

let layout: Layout;
let said: string[];

beforeEach(() => {
  // In the run's folder where there is one: an interrupted run then ends the stack of the test it was in.
  const runFolder = inject('endpoints')?.runFolder;
  const parent = runFolder === undefined ? tmpdir() : join(runFolder, stacksFolder);
  mkdirSync(parent, { recursive: true });
  const root = mkdtempSync(join(parent, 'caracal-stack-'));
  layout = stackLayout(root);
  said = [];
  writeFileSync(join(root, 'package.json'), '{"type":"module"}');
});
afterEach(async () => {
  await bringDown(layout, () => undefined);
  rmSync(layout.root, { recursive: true, force: true });
});

function addService(name: string, source: string): void {
  mkdirSync(join(layout.root, 'services', name), { recursive: true });
  writeFileSync(join(layout.root, 'services', name, 'main.ts'), source);
}

function up(signal = new AbortController().signal): Promise<UpOutcome> {
  const { PATH, HOME, XDG_CACHE_HOME } = process.env;
  const environment = { PATH, HOME, ...(XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME }) };
  return bringUp({ layout, environment, say: (line) => said.push(line), signal });
}

const down = () => bringDown(layout, () => undefined);

function recordOf(outcome: UpOutcome): RunRecord {
  if (outcome.kind === 'started' || outcome.kind === 'found') return outcome.record;
  throw new Error(`not up: ${JSON.stringify(outcome)}`);
}

function runningOf(record: RunRecord): number[] {
  const identities = [record, ...record.parts.flatMap((part) => (part.process === undefined ? [] : [part.process]))];
  return identities.filter((identity) => isRunning(identity)).map(({ pid }) => pid);
}

function ask(url: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(join(layout.tlsFolder, 'ca.pem'));
    const call = request(new URL(path, url), { ca, agent: false }, (response) => {
      response.setEncoding('utf8');
      let body = '';
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve(body));
    });
    call.once('error', reject);
    call.end();
  });
}

test('starts once, is found by a second call, and leaves no process when stopped', async () => {
  addService('sts', readyService);
  addService('api', readyService);
  const outcomes = await Promise.all([up(), up()]);
  expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['found', 'started']);
  const record = recordOf(outcomes[0]);
  expect(record.parts.map(({ name }) => name)).toEqual(['postgres', 'redis', 'opa', 'sts', 'api']);
  expect(isWhole(record)).toBe(true);
  expect(runningOf(record)).toHaveLength(6);
  const environment = JSON.parse(await ask(record.urls['api'] ?? '', '/environment')) as Record<string, string>;
  expect(environment).toMatchObject({ CARACAL_MODE: 'dev', LISTEN_HOST: '127.0.0.1' });
  expect((await down()).kind).toBe('stopped');
  expect(runningOf(record)).toEqual([]);
  expect(existsSync(layout.runFile)).toBe(false);
  expect((await down()).kind).toBe('not-running');
});

test('keeps secrets, certificates, ports and data over a restart', async () => {
  addService('api', readyService);
  const read = () =>
    [layout.secretsFile, layout.portsFile, layout.shellFile, join(layout.tlsFolder, 'ca.pem')].map((path) =>
      readFileSync(path, 'utf8'),
    );
  recordOf(await up());
  const before = read();
  expect(statSync(layout.secretsFile).mode & 0o777).toBe(0o600);
  expect(statSync(layout.state).mode & 0o077).toBe(0);
  await down();
  recordOf(await up());
  expect(read()).toEqual(before);
  expect(said).toContain('the database is current');
});

test('restarts a service that was killed, and shows it', async () => {
  addService('api', readyService);
  const first = recordOf(await up()).parts.find(({ name }) => name === 'api');
  process.kill(first?.process?.pid ?? 0, 'SIGKILL');
  await vi.waitFor(
    async () => {
      const part = recordOf(await up()).parts.find(({ name }) => name === 'api');
      expect(part).toMatchObject({ state: 'up', restarts: 1, lastExit: 'signal SIGKILL' });
      expect(part?.process?.pid).not.toBe(first?.process?.pid);
    },
    { timeout: 30_000, interval: 200 },
  );
});

test('says why a service did not start and leaves no process', async () => {
  addService('api', brokenService);
  const outcome = await up();
  expect(outcome).toMatchObject({ kind: 'failed' });
  expect(outcome.kind === 'failed' && outcome.message).toContain('the setting FOO is missing');
  const state = readRunFile(layout.runFile);
  expect(state.kind === 'gone' && runningOf(state.record)).toEqual([]);
});

test('stops what it has started when it is interrupted', async () => {
  addService('api', silentService);
  const interrupted = new AbortController();
  const outcome = up(interrupted.signal);
  let seen: RunRecord | undefined;
  await vi.waitFor(
    () => {
      const state = readRunFile(layout.runFile);
      seen = state.kind === 'running' ? state.record : undefined;
      expect(seen?.parts.find(({ name }) => name === 'api')?.process).toBeDefined();
    },
    { timeout: 30_000 },
  );
  interrupted.abort();
  expect(await outcome).toEqual({ kind: 'interrupted' });
  expect(seen === undefined ? [0] : runningOf(seen)).toEqual([]);
});

test('ends the parts of a supervisor that was killed', async () => {
  addService('api', readyService);
  const record = recordOf(await up());
  process.kill(record.pid, 'SIGKILL');
  await vi.waitFor(() => expect(isRunning(record)).toBe(false));
  expect(runningOf(record).length).toBe(4);
  expect(await down()).toEqual({ kind: 'not-running', orphans: 4 });
  expect(runningOf(record)).toEqual([]);
});

test('does not touch a process that has the number of an ended supervisor', async () => {
  addService('api', readyService);
  const record = recordOf(await up());
  await down();
  writeFileSync(layout.runFile, JSON.stringify({ ...record, pid: process.pid, parts: [] }));
  expect((await down()).kind).toBe('not-running');
  expect(isRunning({ pid: process.pid, startTime: record.startTime })).toBe(false);
});

test('ends with the folder that it runs for', async () => {
  addService('api', readyService);
  const record = recordOf(await up());
  rmSync(layout.runFile);
  await vi.waitFor(() => expect(runningOf(record)).toEqual([]), { timeout: 30_000, interval: 200 });
});

test('stays up without a part of its own', async () => {
  addService('api', readyService);
  const given = recordOf(await up());
  const own = stackLayout(mkdtempSync(join(layout.root, 'other-')));
  const [ports, secrets] = [layout.portsFile, layout.secretsFile].map(
    (path) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>,
  );
  const environment = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    DATABASE_URL: `postgres://postgres:${secrets?.['postgresPassword']}@127.0.0.1:${ports?.['postgres']}/other`,
    REDIS_URL: `redis://:${secrets?.['redisPassword']}@127.0.0.1:${ports?.['redis']}`,
    OPA_URL: `http://127.0.0.1:${ports?.['opa']}`,
    OPA_TOKEN: secrets?.['opaToken'],
  };
  const signal = new AbortController().signal;
  const outcome = await bringUp({ layout: own, environment, say: () => undefined, signal });
  expect(recordOf(outcome).parts).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await bringDown(own, () => undefined)).toEqual({ kind: 'stopped', pid: recordOf(outcome).pid });
  expect(isWhole(given)).toBe(true);
});
