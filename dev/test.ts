/** `npm test`: starts throw-away components, runs the suite on them, stops them whatever happens, and says the result. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processStartTime } from './process-identity.mjs';
import { readArguments, testUsage } from './test/arguments.ts';
import type { TestRequest } from './test/arguments.ts';
import { startComponents } from './test/components.ts';
import { endpointsVariable } from './test/endpoints.ts';
import { isReport, judge } from './test/results.ts';
import type { Report, Verdict } from './test/results.ts';
import { makeRunFolder, recordProcess, removeLeftovers, removeRunFolder } from './test/run-folder.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const base = join(root, '.caracal', 'test');
/** How long the runner gets to end after a signal; it then has nothing left to say. */
const runnerGraceMilliseconds = 10_000;
/** The shell's number for a program that a signal ended: 128 and the signal's own. */
const interruptedExitCode = 130;

type RunRequest = Extract<TestRequest, { kind: 'run' }>;

function say(message: string): void {
  process.stderr.write(`caracal: ${message}\n`);
}

async function main(): Promise<number> {
  const request = readArguments(process.argv.slice(2), process.env);
  if (request.kind === 'help') {
    console.log(testUsage);
    return 0;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  await removeLeftovers(base);
  const runFolder = makeRunFolder(base);
  let verdict: Verdict = { passed: 0, failed: 1, exitCode: 1 };
  try {
    verdict = await runSuite(request, runFolder, interrupted.signal);
  } catch (error) {
    say(interrupted.signal.aborted ? 'interrupted' : describe(error));
  } finally {
    if (verdict.exitCode !== 0) keepLogs(runFolder);
    await removeRunFolder(runFolder);
  }
  if (verdict.remark !== undefined) say(verdict.remark);
  console.log(`${verdict.passed} passed, ${verdict.failed} failed`);
  return interrupted.signal.aborted ? interruptedExitCode : verdict.exitCode;
}

async function runSuite(request: RunRequest, runFolder: string, signal: AbortSignal): Promise<Verdict> {
  const started = performance.now();
  const { oldestPostgres } = request;
  const endpoints = await startComponents({ runFolder, environment: process.env, oldestPostgres, say, signal });
  signal.throwIfAborted();
  const names = endpoints.postgres.map(({ name }) => name).join(' and ');
  say(`Postgres ${names}, Redis and OPA are up after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const reportFile = join(runFolder, 'results.json');
  const temporary = join(runFolder, 'tmp');
  mkdirSync(temporary, { mode: 0o700 });
  const runner = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...request.runnerArguments];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
  const child = spawn(process.execPath, [...runner, ...reporters], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      [endpointsVariable]: JSON.stringify(endpoints),
      // The runner keeps a token of its own interface there; a run leaves nothing outside its folder.
      XDG_DATA_HOME: join(runFolder, 'data'),
      // What a test forgets to remove, or an interrupted one could not, goes with the run.
      TMPDIR: temporary,
    },
  });
  const startTime = processStartTime(child.pid ?? 0);
  if (child.pid !== undefined && startTime !== undefined) recordProcess(runFolder, { pid: child.pid, startTime });
  const exitCode = await endOf(child, signal);
  signal.throwIfAborted();
  if (existsSync(reportFile)) cpSync(reportFile, join(base, 'results.json'));
  return judge(readReport(reportFile), exitCode);
}

/** Asks the runner to end when we are asked to, and insists after a grace period. */
async function endOf(child: ChildProcess, signal: AbortSignal): Promise<number> {
  let insist: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill('SIGTERM');
    insist = setTimeout(() => child.kill('SIGKILL'), runnerGraceMilliseconds);
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    clearTimeout(insist);
    signal.removeEventListener('abort', end);
  }
}

function readReport(path: string): Report | undefined {
  if (!existsSync(path)) return undefined;
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
  return isReport(value) ? value : undefined;
}

/** What the components and services of a failed run wrote stays, until the next failed run. */
function keepLogs(runFolder: string): void {
  const logs = join(runFolder, 'log');
  if (!existsSync(logs)) return;
  const kept = join(base, 'failed-run-log');
  rmSync(kept, { recursive: true, force: true });
  mkdirSync(base, { recursive: true });
  cpSync(logs, kept, { recursive: true });
  say(`the logs of this run are in ${kept}`);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main();
