/** `npm run down`: stops the stack of this clone; its state stays. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bringDown } from './stack/control.ts';
import type { DownOutcome } from './stack/control.ts';
import { stackLayout } from './stack/layout.ts';

const usage = `usage: npm run down [-- --json]

Stops the stack that \`npm run up\` started, and waits until every process is gone. State stays in .caracal/.

  --json    one JSON object on standard output

Exit codes: 0 nothing runs any more, 64 wrong usage.`;

const usageExitCode = 64;

function say(message: string): void {
  process.stderr.write(`caracal: ${message}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(usage);
    return 0;
  }
  const unknown = args.find((argument) => argument !== '--json');
  if (unknown !== undefined) {
    say(`there is no option ${unknown}\n\n${usage}`);
    return usageExitCode;
  }
  const outcome = await bringDown(stackLayout(dirname(dirname(fileURLToPath(import.meta.url)))), say);
  console.log(args.includes('--json') ? JSON.stringify(outcome) : words(outcome));
  return 0;
}

function words(outcome: DownOutcome): string {
  if (outcome.kind === 'stopped') return 'The stack is stopped; its state is kept in .caracal/.';
  if (outcome.orphans > 0) return `The stack had lost its supervisor; ${outcome.orphans} processes were stopped.`;
  return 'The stack is not running.';
}

process.exitCode = await main(process.argv.slice(2));
