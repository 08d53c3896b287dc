/** `npm run up`: starts the stack in the background, or says how the running one is. */
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bringUp } from './stack/control.ts';
import { stackLayout } from './stack/layout.ts';
import { describeParts, isWhole, reportOf } from './stack/report.ts';
import type { RunRecord } from './stack/run-file.ts';

const usage = `usage: npm run up [-- --json]

Starts Postgres, Redis, OPA and the services in the background and waits until they are ready. When they run
already, says how they are. State is kept in .caracal/ and used again.

  --json               one JSON object on standard output; progress goes to standard error

DATABASE_URL (of an administrator), REDIS_URL, OPA_URL with OPA_TOKEN   components to use instead of own ones
CARACAL_PORT_BASE                                                       first of nine consecutive ports
UPSTREAM_DEV_LOOPBACK_HOSTS                                             more loopback upstreams, host:port,...

Exit codes: 0 everything is up, 1 it is not, 64 wrong usage, 130 interrupted.`;

const interruptedExitCode = 130;
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
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  const layout = stackLayout(dirname(dirname(fileURLToPath(import.meta.url))));
  const outcome = await bringUp({ layout, environment: process.env, say, signal: interrupted.signal });
  switch (outcome.kind) {
    case 'interrupted':
      say('interrupted; the stack was stopped');
      return interruptedExitCode;
    case 'failed':
      say(`the stack did not start: ${outcome.message}`);
      return 1;
    case 'started':
    case 'found': {
      const alreadyRunning = outcome.kind === 'found';
      if (args.includes('--json'))
        console.log(JSON.stringify(reportOf(outcome.record, layout, alreadyRunning), null, 2));
      else tell(outcome.record, alreadyRunning, relative(process.cwd(), layout.state));
      return isWhole(outcome.record) ? 0 : 1;
    }
  }
}

function tell(record: RunRecord, alreadyRunning: boolean, state: string): void {
  const since = alreadyRunning
    ? `was already running (pid ${record.pid}, since ${record.startedAt})`
    : `is up (pid ${record.pid})`;
  console.log(`The stack ${since}:`);
  for (const line of describeParts(record)) console.log(line);
  console.log(`\nFor a shell:  . ${state}/env      Logs:  ${state}/log/      Stop:  npm run down`);
}

process.exitCode = await main(process.argv.slice(2));
