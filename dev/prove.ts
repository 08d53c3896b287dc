/** `npm run prove`: runs one long proof by name, writes bench/results/proofs/, and says whether it holds. */
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { proofs } from '../bench/proofs/catalogue.ts';
import { proofTable, type Proof, type ProofReport } from '../bench/proofs/proof.ts';
import { makeRunFolder, recordProcess, removeLeftovers, removeRunFolder } from './test/run-folder.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const base = join(root, '.caracal', 'prove');
/** The shell's number for a program that a signal ended: 128 and the signal's own. */
const interruptedExitCode = 130;

const usage = `usage: npm run prove -- <name> [--size n] [--seed s]

${proofs.map(({ name, sentence, unit, defaultSize }) => `${name}\n  ${sentence}\n  --size counts ${unit}; ${defaultSize} when left out.`).join('\n\n')}

The same seed makes the same choices. The report goes to bench/results/proofs/<name>.json; the exit code is 0 only when the
proof holds.`;

function say(line: string): void {
  process.stderr.write(`caracal: ${line}\n`);
}

type Request = { readonly kind: 'help'; readonly exitCode: number } | ({ readonly kind: 'run' } & Run);

interface Run {
  readonly proof: Proof;
  readonly size: number;
  readonly seed: number;
}

function readRequest(): Request {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { size: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (positionals.length === 0 || values.help === true) return { kind: 'help', exitCode: 0 };
  const proof = proofs.find(({ name }) => name === positionals[0]);
  const size = Number(values.size ?? proof?.defaultSize);
  // Six digits are enough to differ and few enough to be typed again.
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  if (proof === undefined || !isCount(size) || !isCount(seed)) return { kind: 'help', exitCode: 64 };
  return { kind: 'run', proof, size, seed };
}

async function main(): Promise<number> {
  const request = readRequest();
  if (request.kind === 'help') {
    console.log(usage);
    return request.exitCode;
  }
  await removeLeftovers(base);
  const runFolder = makeRunFolder(base);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Ends every process of the proof first.
    process.on(signal, () => void removeRunFolder(runFolder).finally(() => process.exit(interruptedExitCode)));
  }
  try {
    return await prove(request, runFolder);
  } catch (error) {
    keepLogs(runFolder);
    throw error;
  } finally {
    await removeRunFolder(runFolder);
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

async function prove({ proof, size, seed }: Run, runFolder: string): Promise<number> {
  say(`${proof.name}: ${size} ${proof.unit}, seed ${seed}`);
  const startedMs = performance.now();
  const report = await proof.run({
    size,
    seed,
    say,
    place: {
      folder: join(runFolder, 'installation'),
      logFolder: join(runFolder, 'log'),
      environment: process.env,
      onSpawn: (started) => recordProcess(runFolder, started),
    },
  });
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  const file = write(proof, { size, seed, seconds, report });
  console.log(`\n${proofTable(report)}\n`);
  for (const [name, value] of Object.entries(report.facts)) console.log(`${name}: ${value}`);
  for (const problem of report.problems) console.log(`broken: ${problem}`);
  const verdict = report.problems.length === 0 ? 'holds' : 'does not hold';
  console.log(`\n${proof.name} ${verdict} after ${seconds} s, seed ${seed}; written to ${relative(root, file)}`);
  if (report.problems.length > 0) keepLogs(runFolder);
  return report.problems.length === 0 ? 0 : 1;
}

interface Finished {
  readonly size: number;
  readonly seed: number;
  readonly seconds: number;
  readonly report: ProofReport;
}

function write({ name, sentence, unit }: Proof, { report, ...run }: Finished): string {
  const folder = join(root, 'bench', 'results', 'proofs');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  const machine = { cores: cpus().length, model: cpus()[0]?.model ?? 'unknown', node: process.version };
  const holds = report.problems.length === 0;
  const content = { name, sentence, holds, takenAt: new Date().toISOString(), machine, unit, ...run, ...report };
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
  return file;
}

/** What the parts of a failed proof wrote stays, until the next failed one. */
function keepLogs(runFolder: string): void {
  const logs = join(runFolder, 'log');
  if (!existsSync(logs)) return;
  const kept = join(base, 'failed-proof-log');
  rmSync(kept, { recursive: true, force: true });
  cpSync(logs, kept, { recursive: true });
  say(`the logs of this proof are in ${relative(root, kept)}`);
}

process.exitCode = await main();
