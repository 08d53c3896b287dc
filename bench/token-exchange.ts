// The bench of the token endpoint: an ambient mandate and one for a single use, beside the cheapest answer that the same
// STS gives over the same connections, in one run on one machine.
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { coresUsed, cpuSeconds } from './cpu.ts';
import type { GovernedPlace } from './governed-zone.ts';
import { type LedgerLag, watchLedgerLag } from './ledger-lag.ts';
import { type LoadResult, runLoad } from './load.ts';
import { type CostlyPlace, profileProcess } from './profile.ts';
import type { ExchangeBenchReport, Measure } from './report.ts';

export interface ExchangeBenchOptions {
  /** Of the STS, on loopback. */
  readonly stsPort: number;
  /** Processes whose CPU time is told, by name; `sts` is profiled. */
  readonly pids: Readonly<Record<string, number>>;
  readonly forms: GovernedPlace['forms'];
  /** With `ca.pem`. */
  readonly tlsFolder: string;
  readonly redisUrl: string;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly rounds: number;
  readonly profile: boolean;
  readonly say: (line: string) => void;
}

const busyConnections = 16;
const baseline = 'metadata (baseline)';

interface Target {
  readonly name: string;
  readonly connections: number;
  readonly head: string;
  readonly body: string;
  /** True where every answer leaves an event. */
  readonly recorded: boolean;
}

interface Bench extends ExchangeBenchOptions {
  readonly ca: Buffer;
  readonly lag: LedgerLag;
}

function exchange(name: string, form: string, connections: number): Target {
  const head = `POST /oauth/2/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n`;
  return { name, connections, head, body: form, recorded: true };
}

function targetsOf({ forms }: ExchangeBenchOptions): readonly Target[] {
  const head = 'GET /.well-known/oauth-authorization-server HTTP/1.1\r\n';
  return [
    { name: baseline, connections: busyConnections, head, body: '', recorded: false },
    exchange('per_call', forms.perCall, busyConnections),
    exchange('ambient', forms.ambient, busyConnections),
    exchange('per_call, one connection', forms.perCall, 1),
    exchange('ambient, one connection', forms.ambient, 1),
  ];
}

function load(bench: Bench, target: Target): Promise<LoadResult> {
  const { ca, seconds, warmUpSeconds, stsPort: port } = bench;
  const { connections, body } = target;
  const nextHead = (): string => target.head;
  return runLoad({ host: '127.0.0.1', port, ca, connections, seconds, warmUpSeconds, nextHead, body });
}

async function measure(bench: Bench, target: Target): Promise<Measure> {
  const { seconds, warmUpSeconds, pids, lag } = bench;
  const lastThird = sleep((warmUpSeconds + (seconds * 2) / 3) * 1000).then(() => (target.recorded ? lag.read() : 0));
  const running = load(bench, target);
  await sleep(warmUpSeconds * 1000);
  const before = cpuSeconds(pids);
  const result = await running;
  const cores = coresUsed(before, cpuSeconds(pids), seconds);
  const others = Object.keys(result.statuses).filter((status) => status !== '200');
  if (result.requests === 0 || others.length > 0) {
    throw new Error(`${target.name}: not every answer was 200: ${JSON.stringify(result.statuses)}`);
  }
  const ledgerLag = target.recorded ? { before: await lastThird, after: await lag.read() } : null;
  // The next measure does not pay for the evidence of this one.
  for (let attempt = 0; attempt < 600 && (await lag.read()) > 0; attempt += 1) await sleep(100);
  return { name: target.name, connections: target.connections, load: result, cores, ledgerLag };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function middle(measures: readonly Measure[]): Measure {
  const found = measures.toSorted((a, b) => a.load.perSecond - b.load.perSecond)[Math.floor(measures.length / 2)];
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

function ratiosOf(rounds: readonly (readonly Measure[])[]): Record<string, number> {
  const over = (name: string): number =>
    median(
      rounds.map((round) => {
        const rate = (which: string): number => round.find((each) => each.name === which)?.load.perSecond ?? Number.NaN;
        return rate(name) / rate(baseline);
      }),
    );
  return { 'per_call / baseline': over('per_call'), 'ambient / baseline': over('ambient') };
}

async function profiles(bench: Bench, targets: readonly Target[]): Promise<Record<string, CostlyPlace[]>> {
  const found: Record<string, CostlyPlace[]> = {};
  for (const name of ['per_call', 'ambient']) {
    const target = targets.find((each) => each.name === name);
    if (target === undefined) continue;
    bench.say(`profiling the STS: ${name}`);
    const running = load(bench, target);
    await sleep(bench.warmUpSeconds * 1000);
    found[`sts, ${name}`] = await profileProcess(bench.pids['sts'] ?? 0, Math.max(0.1, bench.seconds - 1));
    await running;
  }
  return found;
}

export async function runExchangeBench(options: ExchangeBenchOptions): Promise<ExchangeBenchReport> {
  await using cleanup = new AsyncDisposableStack();
  const bench: Bench = {
    ...options,
    ca: readFileSync(join(options.tlsFolder, 'ca.pem')),
    lag: cleanup.use(watchLedgerLag(options.redisUrl)),
    pids: { ...options.pids, load: process.pid },
  };
  const targets = targetsOf(options);
  const rounds: Measure[][] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    const measures: Measure[] = [];
    for (const target of targets) {
      options.say(`round ${round} of ${options.rounds}: ${target.name}`);
      measures.push(await measure(bench, target));
    }
    rounds.push(measures);
  }
  const [cpu] = cpus();
  return {
    takenAt: new Date().toISOString(),
    machine: { cores: cpus().length, model: cpu?.model ?? 'unknown', node: process.version },
    secondsEach: options.seconds,
    rounds: options.rounds,
    measures: targets.map((_, at) => middle(rounds.flatMap((round) => round[at] ?? []))),
    ratios: ratiosOf(rounds),
    profiles: options.profile ? await profiles(bench, targets) : {},
  };
}
