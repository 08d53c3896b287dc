/**
 * Gets an OPA binary: from PATH, the cache, the official release or a Go build, first that works. It stands alone
 * because it is the one component that may have to be built, and several processes may want it at once.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { withLock } from '../lock.mjs';
import { cacheFolder } from './cache-folder.ts';
import type { Environment } from './child-process.ts';
import { findGo, findOnPath, isExecutable, runToEnd } from './executables.ts';
import type { RunResult } from './executables.ts';
import { opaRelease, opaVersion } from './opa-release.ts';
import type { OpaRelease } from './opa-release.ts';

export interface OpaBinaryOptions {
  environment: Environment;
  /** Told about steps that take long. */
  say?: (message: string) => void;
  /** Ends a download or a build when it is aborted. */
  signal?: AbortSignal | undefined;
  /** The official release of this platform when absent. */
  release?: OpaRelease | undefined;
  /** Where Go is looked for beside PATH; its usual places when absent. */
  goFolders?: readonly string[] | undefined;
}

const versionLimitMilliseconds = 10_000;
/** Without an answer by then there is no way to the release; a machine behind a closed firewall must get on. */
const answerLimitMilliseconds = 10_000;
/** About 60 MB. */
const downloadLimitMilliseconds = 300_000;
/** About 40 s of two cores here; a small machine gets twenty times that. */
const buildLimitMilliseconds = 900_000;
const progressMilliseconds = 5_000;

/** The path of an OPA 1.x. Rejects with the four ways when none works. */
export async function findOpa(options: OpaBinaryOptions): Promise<string> {
  const onPath = findOnPath('opa', options.environment);
  if (onPath !== undefined && (await isVersionOne(onPath, options.environment))) return onPath;
  const folder = cacheFolder(options.environment);
  const target = join(folder, `opa-${opaVersion}`);
  if (await isIntact(target)) return target;
  const onWait = (): void => options.say?.('another start is getting OPA, waiting for it');
  return await withLock({ path: `${target}.lock`, onWait }, async () => {
    if (await isIntact(target)) return target;
    const problems = await fillCache({ folder, target, options });
    if (await isIntact(target)) return target;
    throw new Error(noOpaMessage(problems));
  });
}

function noOpaMessage(problems: readonly string[]): string {
  return [
    `there is no OPA; any of these four ways gives one:`,
    `  - put an opa 1.x on PATH (macOS: brew install opa)`,
    `  - allow downloads from github.com, for the official release ${opaVersion}`,
    `  - install Go 1.25 or newer, from which it is built`,
    `  - run one yourself and set OPA_URL and OPA_TOKEN`,
    ...problems.map((problem) => `  (${problem})`),
  ].join('\n');
}

async function isVersionOne(path: string, environment: Environment): Promise<boolean> {
  const result = await runToEnd(path, ['version'], { environment, limitMilliseconds: versionLimitMilliseconds });
  return result.kind === 'succeeded' && /^Version:\s*1\./m.test(result.output);
}

/** Whether the cached file is there and is what was put there. */
async function isIntact(target: string): Promise<boolean> {
  if (!isExecutable(target) || !existsSync(`${target}.sha256`)) return false;
  const [expected, actual] = await Promise.all([readFile(`${target}.sha256`, 'utf8'), digestOf(target)]);
  return expected.trim() === actual;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

interface CacheFill {
  folder: string;
  target: string;
  options: OpaBinaryOptions;
}

/** Tries the release, then Go; gives the reasons of what did not work. */
async function fillCache({ folder, target, options }: CacheFill): Promise<string[]> {
  const leftovers = (await readdir(folder)).filter((name) => name.startsWith('opa-build-'));
  await Promise.all(leftovers.map((name) => rm(join(folder, name), { recursive: true, force: true })));
  const work = join(folder, `opa-build-${process.pid}`);
  await mkdir(work, { recursive: true, mode: 0o700 });
  const problems: string[] = [];
  try {
    for (const way of [download, buildWithGo]) {
      options.signal?.throwIfAborted();
      const outcome = await way(work, options);
      if (outcome.kind === 'got') {
        await place(outcome.path, target);
        return [];
      }
      problems.push(outcome.problem);
    }
    return problems;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

type Outcome = { kind: 'got'; path: string } | { kind: 'none'; problem: string };

/** The checksum goes first: a binary without one counts as absent, so a stop in between is harmless. */
async function place(path: string, target: string): Promise<void> {
  await chmod(path, 0o755);
  await writeFile(`${target}.sha256`, `${await digestOf(path)}\n`);
  await rename(path, target);
}

async function download(work: string, options: OpaBinaryOptions): Promise<Outcome> {
  const release = options.release ?? opaRelease(process.platform, process.arch);
  if (release === undefined) return { kind: 'none', problem: `no release for ${process.platform} ${process.arch}` };
  const path = join(work, 'opa-download');
  const controller = new AbortController();
  const answer = setTimeout(() => controller.abort(new Error('no answer')), answerLimitMilliseconds);
  try {
    const limits = [controller.signal, AbortSignal.timeout(downloadLimitMilliseconds)];
    const signal = AbortSignal.any(options.signal === undefined ? limits : [...limits, options.signal]);
    const response = await fetch(release.url, { signal });
    clearTimeout(answer);
    if (!response.ok || response.body === null)
      return { kind: 'none', problem: `${release.url}: HTTP ${response.status}` };
    options.say?.(`downloading OPA ${opaVersion}`);
    const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
    await withProgress('downloading OPA', options, pipeline(body, createWriteStream(path)));
    const actual = await digestOf(path);
    if (actual === release.sha256) return { kind: 'got', path };
    return { kind: 'none', problem: `${release.url} has SHA-256 ${actual}, expected ${release.sha256}` };
  } catch (error) {
    return { kind: 'none', problem: `${release.url}: ${reasonOf(error)}` };
  } finally {
    clearTimeout(answer);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed';
  return error.cause instanceof Error ? error.cause.message : error.message;
}

const opaModule = 'github.com/open-policy-agent/opa';

/**
 * Go's own caches and its usage counters go into the work folder too and leave with it: the build writes nowhere else.
 * The settings made with `go env -w` are still read from where they are.
 */
async function buildWithGo(work: string, options: OpaBinaryOptions): Promise<Outcome> {
  const go = findGo(options.environment, options.goFolders);
  if (go === undefined) return { kind: 'none', problem: 'there is no Go' };
  options.say?.(`building OPA ${opaVersion} with Go; the first time takes minutes`);
  const environment: Environment = {
    ...options.environment,
    CGO_ENABLED: '0',
    GOPATH: join(work, 'go'),
    GOMODCACHE: join(work, 'go', 'mod'),
    GOCACHE: join(work, 'go-build'),
    GOBIN: join(work, 'bin'),
    GOENV: goSettingsFile(options.environment),
    XDG_CONFIG_HOME: join(work, 'config'),
  };
  const path = join(work, 'bin', 'opa');
  const limits = { limitMilliseconds: buildLimitMilliseconds, signal: options.signal };
  const run = (args: string[], folder: string): Promise<RunResult> =>
    runToEnd(go, args, { environment, ...limits, workingDirectory: folder });
  const build = async (): Promise<RunResult> => {
    const install = await run(['install', '-trimpath', '-modcacherw', `${opaModule}@v${opaVersion}`], work);
    return install.kind === 'succeeded' ? install : await buildInModule({ work, path, run });
  };
  const result = await withProgress('building OPA', options, build());
  if (result.kind === 'succeeded' && isExecutable(path)) return { kind: 'got', path };
  return { kind: 'none', problem: `go: ${result.kind === 'failed' ? lastLine(result.message) : 'no binary came out'}` };
}

/** Where `go env -w` writes; asking Go itself would make it count the question in the user's folder. */
function goSettingsFile(environment: Environment): string {
  const given = environment['GOENV'];
  if (given !== undefined && given !== '') return given;
  const home = environment['HOME'] ?? homedir();
  const linux = environment['XDG_CONFIG_HOME'] ?? join(home, '.config');
  return join(process.platform === 'darwin' ? join(home, 'Library', 'Application Support') : linux, 'go', 'env');
}

interface ModuleBuild {
  work: string;
  path: string;
  run: (args: string[], folder: string) => Promise<RunResult>;
}

/** `go install` refuses a module with replace directives; one that requires it builds its main package all the same. */
async function buildInModule({ work, path, run }: ModuleBuild): Promise<RunResult> {
  const folder = join(work, 'module');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'go.mod'), 'module caracal.invalid/opa\n');
  const required = await run(['get', '-modcacherw', `${opaModule}@v${opaVersion}`], folder);
  if (required.kind === 'failed') return required;
  return await run(['build', '-trimpath', '-modcacherw', '-o', path, opaModule], folder);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

async function withProgress<T>(what: string, options: OpaBinaryOptions, work: Promise<T>): Promise<T> {
  const started = performance.now();
  const tell = (): void => options.say?.(`${what}, ${Math.round((performance.now() - started) / 1000)} s`);
  const timer = setInterval(tell, progressMilliseconds);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}
