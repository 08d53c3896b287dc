/** `npm run bench`: brings up a stack of its own, measures governed calls against their baseline, writes bench/results/. */
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createGovernedZone } from '../bench/governed-zone.ts';
import { conclusions, exchangeConclusions, plainTable, writeExchangeReport, writeReport } from '../bench/report.ts';
import { runBench } from '../bench/run.ts';
import { runExchangeBench } from '../bench/token-exchange.ts';
import { bringDown, bringUp } from './stack/control.ts';
import { stackLayout } from './stack/layout.ts';
import type { Layout } from './stack/layout.ts';
import { keepSecrets } from './secrets.ts';
import type { RunRecord } from './stack/run-file.ts';
import { readShellFile } from './stack/shell-file.ts';

const usage = `usage: npm run bench [-- [token-exchange] --seconds 8 --rounds 5 --no-profile --json]

Measures, in one run on one machine: a governed call decided each time, a governed call from a reused verdict, and the same
through a bare undici proxy; with token-exchange, the STS's token endpoint beside its cheapest answer. Prints ratios, percentiles, CPU per process and the ledger's lag, and writes bench/results/.
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
  exchange: boolean;
}

/** Undefined for anything that the usage does not name. */
function readArguments(): BenchArguments | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '8' },
        rounds: { type: 'string', default: '5' },
        'no-profile': { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)];
    if (!(seconds >= 1) || !(rounds >= 1) || positionals.some((name) => name !== 'token-exchange')) return undefined;
    const { json, help } = values;
    return { seconds, rounds, profile: !values['no-profile'], json, help, exchange: positionals.length > 0 };
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
  // One line a call would measure the log, and the limit of mints the limit.
  const environment = { ...process.env, LOG_LEVEL: 'warn', STS_MINT_RATE_LIMIT_PER_MIN: '10000000' };
  const outcome = await bringUp({ layout, environment, say, signal: interrupted.signal });
  if (outcome.kind === 'interrupted' || outcome.kind === 'failed') {
    say(outcome.kind === 'failed' ? outcome.message : 'interrupted');
    return 1;
  }
  try {
    const { text, report, file } = await measure({ values, layout, record: outcome.record, root });
    if (values.json) console.log(JSON.stringify(report));
    else console.log(`\n${text}\n\nwritten to ${relative(root, file)}`);
    return 0;
  } finally {
    await bringDown(layout, say);
  }
}

interface Measuring {
  readonly values: BenchArguments;
  readonly layout: Layout;
  readonly record: RunRecord;
  readonly root: string;
}

async function measure({ values, layout, record, root }: Measuring) {
  const shell = readShellFile(layout.shellFile);
  const { urls, parts } = record;
  const upstreamPort = portOf(shell['CARACAL_DEV_UPSTREAM_URL']);
  const { tlsFolder } = layout;
  const { seconds, rounds, profile } = values;
  const adminToken = shell['CARACAL_ADMIN_TOKEN'] ?? '';
  const governed = await createGovernedZone({ urls, adminToken, tlsFolder, upstreamPort });
  const common = {
    pids: Object.fromEntries(parts.map((part) => [part.name, part.process?.pid ?? 0])),
    tlsFolder,
    redisUrl: redisUrlOf(record, layout.secretsFile),
    seconds,
    warmUpSeconds: Math.max(1, seconds * warmUpShare),
    rounds,
    profile,
    say,
  };
  const folder = join(root, 'bench', 'results');
  if (values.exchange) {
    const report = await runExchangeBench({ ...common, stsPort: portOf(urls['sts']), forms: governed.forms });
    const text = `${plainTable(report)}\n\n${exchangeConclusions(report).join('\n')}`;
    return { text, report, file: writeExchangeReport(folder, report) };
  }
  const report = await runBench({ ...common, gatewayPort: portOf(urls['gateway']), governed, upstreamPort });
  const text = `${plainTable(report)}\n\n${conclusions(report).join('\n')}`;
  return { text, report, file: writeReport(folder, report) };
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
