// Runs every check of the house, two steps at a time, and reports them in one order whichever ends first.
// It stands alone because it is what CI runs before the tests, and what a contributor runs before a commit.
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { applicableSteps, type Step } from './house/steps.ts';

/** The smallest machine this is meant for has two cores. */
const atOnce = 2;

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
  readonly milliseconds: number;
}

function help(steps: readonly Step[]): string {
  const lines = steps.map(({ name, promise }) => `  ${name.padEnd(12)}${promise}`);
  return `Usage: npm run check [-- step...]\n\nRuns these steps, or only those named:\n${lines.join('\n')}\n`;
}

async function runCommand([program, ...args]: readonly [string, ...string[]]): Promise<Omit<Outcome, 'milliseconds'>> {
  const path = [join(process.cwd(), 'node_modules', '.bin'), process.env['PATH']].join(delimiter);
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: path },
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve({ ok: false, output: `${program} did not start: ${error.message}\n` }));
    child.once('close', (code, signal) => {
      const end = signal === null ? '' : `${program} was ended by ${signal}\n`;
      resolve({ ok: code === 0, output: stripVTControlCharacters(Buffer.concat(chunks).toString('utf8')) + end });
    });
  });
}

async function runStep(step: Step): Promise<Outcome> {
  const start = performance.now();
  let output = '';
  let ok = true;
  for (const command of step.commands) {
    const result = await runCommand(command);
    output += result.output;
    ok = result.ok;
    if (!ok) {
      break;
    }
  }
  return { ok, output, milliseconds: performance.now() - start };
}

/** Runs the steps in order, never more than `atOnce` together; the promises are in the same order. */
function startAll(steps: readonly Step[]): readonly Promise<Outcome>[] {
  const waiting = steps.map((step) => ({ step, outcome: Promise.withResolvers<Outcome>() }));
  const queue = waiting.values();
  const worker = async (): Promise<void> => {
    for (const { step, outcome } of queue) {
      outcome.resolve(await runStep(step));
    }
  };
  for (let lane = 0; lane < atOnce; lane += 1) {
    worker().catch((error: unknown) => waiting.forEach(({ outcome }) => outcome.reject(error)));
  }
  return waiting.map(({ outcome }) => outcome.promise);
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

async function check(steps: readonly Step[]): Promise<boolean> {
  const start = performance.now();
  const outcomes = startAll(steps);
  const failed: string[] = [];
  for (const [at, step] of steps.entries()) {
    const { ok, output, milliseconds } = (await outcomes[at]) ?? { ok: false, output: '', milliseconds: 0 };
    process.stdout.write(`${ok ? 'ok  ' : 'FAIL'}  ${step.name.padEnd(12)}${seconds(milliseconds).padStart(7)}\n`);
    if (!ok) {
      failed.push(step.name);
      process.stdout.write(`${output.trimEnd()}\n→ ${step.remedy}\n\n`);
    }
  }
  const result = failed.length === 0 ? `all ${steps.length} steps hold` : `broken: ${failed.join(', ')}`;
  process.stdout.write(`check: ${result} (${seconds(performance.now() - start)})\n`);
  return failed.length === 0;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  const steps = applicableSteps();
  if (values.help === true) {
    process.stdout.write(help(steps));
    return 0;
  }
  const unknown = positionals.filter((word) => !steps.some(({ name }) => name === word));
  if (unknown.length > 0) {
    process.stderr.write(`no step is called ${unknown.join(', ')}\n${help(steps)}`);
    return 2;
  }
  const chosen = steps.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return (await check(chosen)) ? 0 : 1;
}

process.exitCode = await main();
