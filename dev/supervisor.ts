/**
 * The one detached process of a running stack: starts and keeps its parts, writes down how they are, stops them in
 * order. `up` starts it and `down` ends it; it takes no arguments but the state folder of another stack, for tests.
 */
import { appendFileSync, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOpa } from './components/opa-binary.ts';
import { prepareDatabase } from './database.ts';
import { renderShellFile, shellEnvironment } from './environment.ts';
import { processStartTime } from './process-identity.mjs';
import { keepCheckpointKey, keepSecrets, writePrivate } from './secrets.ts';
import { detailMark } from './stack/control.ts';
import { makeStateFolder, stackLayout } from './stack/layout.ts';
import {
  administratorUrl,
  componentParts,
  describeStack,
  isSet,
  servicePartStages,
  serviceUrls,
} from './stack/parts.ts';
import type { PartsOptions } from './stack/parts.ts';
import { readRunFile, removeRunFile, writeRunFile } from './stack/run-file.ts';
import type { RunPhase, RunRecord } from './stack/run-file.ts';
import { choosePorts } from './stack/stack-ports.ts';
import { Supervision } from './stack/supervision.ts';
import { keepTlsFiles } from './tls-files.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [stateFolder, repository = root] = process.argv.slice(2);
const layout = stackLayout(repository, stateFolder === undefined ? undefined : resolve(stateFolder));

/** Often enough that a removed clone does not keep its stack for long. */
const ownershipCheckMilliseconds = 1_000;

function say(message: string): void {
  try {
    appendFileSync(layout.supervisorLog, `${new Date().toISOString()} ${message}\n`);
  } catch {
    // The folder was removed: there is nowhere to say it, and stopping matters more.
  }
}

const stopping = new AbortController();
const record: RunRecord = {
  pid: process.pid,
  startTime: processStartTime(process.pid) ?? '',
  phase: 'starting',
  startedAt: new Date().toISOString(),
  urls: {},
  parts: [],
};
const supervision = new Supervision({ say, onChange: () => writeRecord() });

function writeRecord(): void {
  if (!ownsRunFile()) return;
  record.parts = supervision.statuses();
  writeRunFile(layout.runFile, record);
}

/** Whether the run file is ours: when it was removed, so was the stack, and we must not bring it back. */
function ownsRunFile(): boolean {
  const state = readRunFile(layout.runFile);
  return state.kind !== 'none' && state.record.pid === record.pid;
}

function setPhase(phase: RunPhase): void {
  record.phase = phase;
  writeRecord();
}

async function start(): Promise<void> {
  const began = performance.now();
  const secrets = keepSecrets(layout.secretsFile);
  keepCheckpointKey(layout.checkpointKeyFile);
  await keepTlsFiles(layout.tlsFolder);
  const { ports, origin } = await choosePorts(layout.portsFile, process.env['CARACAL_PORT_BASE']);
  if (origin === 'free') say('a familiar port is taken, so free ports are used; they are kept from now on');
  const options: PartsOptions = { layout, ports, secrets, environment: process.env, say, signal: stopping.signal };
  const stack = describeStack({ ...options, opaBinary: await opaBinary() });
  writePrivate(layout.shellFile, renderShellFile(shellEnvironment(stack)));
  record.urls = serviceUrls(layout, ports);
  await supervision.startStage(await componentParts(options));
  const applied = await migrated(options);
  say(applied === 0 ? 'the database is current' : `the database is current, ${applied} migrations applied`);
  for (const stage of servicePartStages(options, stack)) await supervision.startStage(stage);
  say(`ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

/** An OPA that was named by its address says nothing of a program; without one the part that starts OPA says why. */
async function opaBinary(): Promise<string | undefined> {
  const { OPA_URL: url, OPA_BINARY: binary } = process.env;
  if (isSet(url) || isSet(binary)) return isSet(binary) ? binary : undefined;
  return findOpa({ environment: process.env, say, signal: stopping.signal }).catch(() => undefined);
}

/** Tells how many migrations were applied; a failure says whose database it was about. */
async function migrated(options: PartsOptions): Promise<number> {
  const database = { administratorUrl: administratorUrl(options), loginPassword: options.secrets.loginPassword };
  try {
    const { applied } = await prepareDatabase({ ...database, root, say: (line) => say(`${detailMark}${line}`) });
    return applied.length;
  } catch (cause) {
    const whose = isSet(options.environment['DATABASE_URL']) ? 'the database of DATABASE_URL' : 'the database';
    throw new Error(`${whose}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** What a build or an installation left running is in our own process group; the parts are not. */
function endOwnGroup(): void {
  process.on('SIGTERM', () => undefined);
  try {
    process.kill(-process.pid, 'SIGTERM');
  } catch {
    // Not the leader of a group: started by hand, and its terminal ends what belongs to it.
  }
}

async function stop(exitCode: number): Promise<never> {
  await supervision.stop();
  if (exitCode === 0) {
    removeRunFile(layout.runFile);
    say('stopped');
  }
  endOwnGroup();
  process.exit(exitCode);
}

/** Resolves when we are told to stop, or when the folder that we run for was removed. */
function askedToStop(): Promise<void> {
  return new Promise((resolveAsked) => {
    const ask = (why: string): void => {
      if (!stopping.signal.aborted) {
        say(`stopping (${why})`);
        setPhase('stopping');
      }
      stopping.abort();
      resolveAsked();
    };
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ask(signal));
    setInterval(() => {
      if (!ownsRunFile()) ask('the run file is gone');
    }, ownershipCheckMilliseconds);
  });
}

async function main(): Promise<void> {
  if (!existsSync(layout.state)) return;
  makeStateFolder(layout);
  writeRunFile(layout.runFile, record);
  const asked = askedToStop();
  const started = start();
  try {
    await Promise.race([started, asked]);
  } catch (error) {
    // Without this the stop that follows a failure would meet the same failure again, unhandled.
    record.message = error instanceof Error ? error.message : String(error);
  }
  started.catch(() => undefined);
  if (stopping.signal.aborted) await stop(0);
  if (record.message !== undefined) {
    say(`the start failed: ${record.message}`);
    setPhase('failed');
    await stop(1);
  }
  setPhase('ready');
  await asked;
  await stop(0);
}

process.on('uncaughtException', (error) => {
  // Whatever it was, what we keep running cannot be kept any more: stop in order and leave the reason in the log.
  say(`unexpected: ${error.stack ?? error.message}`);
  void stop(1);
});

await main();
