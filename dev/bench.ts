/** `npm run bench`: brings up a stack of its own, measures governed calls against their baseline, writes bench/results/. */
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createGovernedZone } from '../bench/governed-zone.ts';
import { conclusions, plainTable, writeReport } from '../bench/report.ts';
import { runBench } from '../bench/run.ts';
import { bringDown, bringUp } from './stack/control.ts';
import { stackLayout } from './stack/layout.ts';
import { keepSecrets } from './secrets.ts';
import type { RunRecord } from './stack/run-file.ts';
import { readShellFile } from './stack/shell-file.ts';

const usage = `usage: npm run bench [-- --seconds 8 --rounds 5 --no-profile --json]

Measures, in one run on one machine: a governed call decided each time, a governed call from a reused verdict, and the same
through a bare undici proxy. Prints ratios, percentiles, CPU per process and the ledger's lag, and writes bench/results/.
The stack it starts keeps its state in .caracal/bench and is stopped at the end.`;

/** Part of each round that passes before counting: most of what the compiler does for a path it does in that time. */
const warmUpShare = 0.3;

const usageExitCode = 64;

const say = (message: string): void => void process.stderr.write(`caracal: ${message}\n`);

interface BenchArguments {
  seconds: number;
  rounds: number;
  profile: boolean;
  json: boolean;
  help: boolean;
}

/** Undefined for anything that the usage does not name. */
function readArguments(): BenchArguments | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: 'string', default: '8' },
        rounds: { type: 'string', default: '5' },
        'no-profile': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)];
    if (!(seconds >= 1) || !(rounds >= 1)) return undefined;
    return { seconds, rounds, profile: !values['no-profile'], json: values.json, help: values.help };
  } catch {
    // parseArgs names the argument it does not know; the usage says all there are.
    return undefined;
  }
}

async function main(): Promise<number> {
  const values = readArguments();
  if (values === undefined || values.help) {
    console.log(usage);
    return values === undefined ? usageExitCode : 0;
  }
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const layout = stackLayout(root, join(root, '.caracal', 'bench'));
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  // One line a call would measure the log.
  const environment = { ...process.env, LOG_LEVEL: 'warn' };
  const outcome = await bringUp({ layout, environment, say, signal: interrupted.signal });
  if (outcome.kind === 'interrupted' || outcome.kind === 'failed') {
    say(outcome.kind === 'failed' ? outcome.message : 'interrupted');
    return 1;
  }
  try {
    const shell = readShellFile(layout.shellFile);
    const { urls, parts } = outcome.record;
    const upstreamPort = portOf(shell['CARACAL_DEV_UPSTREAM_URL']);
    const { tlsFolder } = layout;
    const adminToken = shell['CARACAL_ADMIN_TOKEN'] ?? '';
    const report = await runBench({
      gatewayPort: portOf(urls['gateway']),
      pids: Object.fromEntries(parts.map((part) => [part.name, part.process?.pid ?? 0])),
      governed: await createGovernedZone({ urls, adminToken, tlsFolder, upstreamPort }),
      tlsFolder,
      upstreamPort,
      redisUrl: redisUrlOf(outcome.record, layout.secretsFile),
      seconds: values.seconds,
      warmUpSeconds: Math.max(1, Number(values.seconds) * warmUpShare),
      rounds: values.rounds,
      profile: values.profile,
      say,
    });
    const file = writeReport(join(root, 'bench', 'results'), report);
    if (values.json) console.log(JSON.stringify(report));
    else
      console.log(`\n${plainTable(report)}\n\n${conclusions(report).join('\n')}\n\nwritten to ${relative(root, file)}`);
    return 0;
  } finally {
    await bringDown(layout, say);
  }
}

function portOf(url: string | undefined): number {
  return Number(new URL(url ?? '').port);
}

function redisUrlOf(record: RunRecord, secretsFile: string): string {
  const given = process.env['REDIS_URL'];
  if (given !== undefined && given !== '') return given;
  const redis = record.parts.find((part) => part.name === 'redis');
  return `redis://:${keepSecrets(secretsFile).redisPassword}@${redis?.address}`;
}

process.exitCode = await main();
