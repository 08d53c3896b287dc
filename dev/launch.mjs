/**
 * Starts a command of this folder on the pinned runtime, after making sure that the dependencies are the lockfile's.
 * It stands alone because it is the one file that runs before `npm ci`: built-ins of Node 20.19 only.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, realpathSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampName = '.caracal-lockfile-digest';
/** npm prints nothing for long stretches without a terminal; a line this often shows that it lives. */
const progressMilliseconds = 5_000;

/** What each command does, in the order in which a newcomer needs them. */
const summaries = new Map([
  ['demo', 'start the stack and run a governed story against a real upstream'],
  ['up', 'start the stack in the background'],
  ['down', 'stop the stack'],
  ['test', 'run the test suite on real Postgres, Redis and OPA'],
  ['check', 'generate and compare, format, lint, boundaries, types'],
  ['generate', 'generate code from the contracts'],
  ['migrate', 'bring a database to the current schema'],
  ['bench', 'measure and print the figures'],
  ['prove', 'run a long proof'],
  ['proto-release', 'renew the baseline that breaking changes are compared with'],
]);

/**
 * A digest of the lockfile's bytes: installed dependencies carry the one they were installed from.
 * @param {string} folder
 */
export function lockfileDigest(folder) {
  return createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex');
}

/**
 * Whether node_modules is what package-lock.json says. Trusts the stamp of an earlier launch; without one, compares
 * with the record that npm writes when it has finished, so that a hand-made `npm ci` counts too.
 * @param {string} folder
 */
export function dependenciesCurrent(folder) {
  const stamp = join(folder, 'node_modules', stampName);
  if (existsSync(stamp)) return readFileSync(stamp, 'utf8').trim() === lockfileDigest(folder);
  const record = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = packagesOf(join(folder, 'package-lock.json'));
  const installed = packagesOf(record);
  for (const [path, entry] of wanted) {
    if (path === '' || entry.optional === true) continue;
    if (installed.get(path)?.version !== entry.version) return false;
  }
  for (const [path, entry] of installed) if (wanted.get(path)?.version !== entry.version) return false;
  return true;
}

/**
 * @param {string} file
 * @returns {Map<string, { version?: string; optional?: boolean }>}
 */
function packagesOf(file) {
  return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages ?? {}));
}

/** @param {string} folder */
function writeStamp(folder) {
  writeFileSync(join(folder, 'node_modules', stampName), `${lockfileDigest(folder)}\n`);
}

/** @param {string} folder */
async function ensureDependencies(folder) {
  if (dependenciesCurrent(folder)) return;
  const path = join(folder, '.caracal', 'install.lock');
  const onWait = () => say('another launch is installing the dependencies, waiting for it');
  await withLock({ path, onWait }, async () => {
    if (!dependenciesCurrent(folder)) await install(folder);
    writeStamp(folder);
  });
}

/** @param {string} folder */
async function install(folder) {
  say('installing the dependencies (npm ci); the first time takes a minute or two');
  const started = Date.now();
  const npm = npmCommand();
  const child = spawn(npm.command, [...npm.args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: pathOutside(folder) },
  });
  const timer = setInterval(
    () => say(`installing, ${Math.round((Date.now() - started) / 1000)} s`),
    progressMilliseconds,
  );
  const code = await exitCode(child);
  clearInterval(timer);
  if (code !== 0) {
    fail('npm ci did not succeed; its output above says why. It needs the npm registry (npm config get registry).', 1);
  }
  say(`dependencies installed in ${Math.round((Date.now() - started) / 1000)} s`);
}

/**
 * The npm that started us, run by the Node that runs it, else the one on PATH. Never a Node inside node_modules:
 * `npm ci` begins by removing that folder.
 */
function npmCommand() {
  const { npm_execpath: cli, npm_node_execpath: runner } = process.env;
  if (
    cli !== undefined &&
    runner !== undefined &&
    cli.endsWith('.js') &&
    !runner.startsWith(join(root, 'node_modules'))
  ) {
    return { command: runner, args: [cli] };
  }
  return { command: 'npm', args: [] };
}

/** @param {string} folder */
function pathOutside(folder) {
  const entries = (process.env['PATH'] ?? '').split(delimiter);
  return entries.filter((entry) => !entry.startsWith(join(folder, 'node_modules'))).join(delimiter);
}

/**
 * Resolves with the shell's number for how a child ended; forwards the signals that ask us to end.
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number>}
 */
function exitCode(child) {
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  /** @param {NodeJS.Signals} signal */
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  return new Promise((resolve) => {
    child.once('error', (error) => {
      say(`${child.spawnfile} could not be started: ${error.message}`);
      resolve(127);
    });
    child.once('exit', (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/** The pinned runtime from node_modules, else ourselves when we are as new. */
function runtime() {
  const pinned = join(root, 'node_modules', '.bin', 'node');
  if (existsSync(pinned)) return pinned;
  const wanted = Number(readFileSync(join(root, '.node-version'), 'utf8').trim().split('.')[0]);
  if (Number(process.versions.node.split('.')[0]) >= wanted) return process.execPath;
  return fail(
    `there is no packaged Node ${wanted} for ${process.platform} ${process.arch}; install Node ${wanted} and start again`,
    1,
  );
}

/** @param {string} message */
function say(message) {
  process.stderr.write(`caracal: ${message}\n`);
}

/**
 * @param {string} message
 * @param {number} code
 * @returns {never}
 */
function fail(message, code) {
  say(message);
  process.exit(code);
}

function availableCommands() {
  const files = new Set(readdirSync(join(root, 'dev')));
  return [...summaries.keys()].filter((command) => files.has(`${command}.ts`));
}

function usage() {
  const lines = availableCommands().map((command) => `  ${command.padEnd(14)} ${summaries.get(command)}`);
  return [
    'usage: node dev/launch.mjs <command> [arguments]',
    '',
    ...lines,
    '',
    'Each command explains itself with --help.',
  ].join('\n');
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(
    `Node ${process.versions.node} is too old to start from; any Node from 20.19 up will do (https://nodejs.org)`,
    1,
  );
}

/** @param {string[]} argv */
async function main(argv) {
  checkNode();
  const [command = '--help', ...args] = argv;
  if (command === '--help' || command === '-h' || command === 'help') {
    process.stdout.write(`${usage()}\n`);
    return 0;
  }
  if (!availableCommands().includes(command)) fail(`there is no command "${command}"\n\n${usage()}`, 64);
  await ensureDependencies(root);
  const bin = join(root, 'node_modules', '.bin');
  // Tools that switch on Node's compile cache would keep it in the system's temporary folder.
  const cache = process.env['NODE_COMPILE_CACHE'] ?? join(root, 'node_modules', '.cache', 'node');
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, NODE_COMPILE_CACHE: cache };
  return await exitCode(spawn(runtime(), [join(root, 'dev', `${command}.ts`), ...args], { stdio: 'inherit', env }));
}

const started = process.argv[1];
if (started !== undefined && realpathSync(started) === realpathSync(fileURLToPath(import.meta.url))) {
  process.exitCode = await main(process.argv.slice(2));
}
