// The bench of a governed call: decided every time, from a reused verdict, and through the same proxy without governance, in
// one run on one machine, so that every figure stands beside its baseline.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { coresUsed, cpuSeconds } from './cpu.ts';
import type { GovernedPlace } from './governed-zone.ts';
import { measureIngestion } from './ingestion.ts';
import { type LedgerLag, watchLedgerLag } from './ledger-lag.ts';
import { type LoadResult, runLoad } from './load.ts';
import { type CostlyPlace, profileProcess } from './profile.ts';
import type { BenchReport, Measure } from './report.ts';

export interface BenchOptions {
  /** Of the Gateway, on loopback. */
  readonly gatewayPort: number;
  /** Processes whose CPU time is told, by name; `gateway`, `sts` and `audit` are profiled. */
  readonly pids: Readonly<Record<string, number>>;
  readonly governed: Pick<GovernedPlace, 'mount' | 'mandate'>;
  /** With `ca.pem`, `gateway.pem` and `gateway-key.pem`. */
  readonly tlsFolder: string;
  /** Where the resource's upstream is expected; the bench starts it. */
  readonly upstreamPort: number;
  readonly redisUrl: string;
  /** Seconds each round is measured. */
  readonly seconds: number;
  /** Seconds of each round that pass before counting, so that caches, pools and compiled code are warm. */
  readonly warmUpSeconds: number;
  readonly rounds: number;
  readonly profile: boolean;
  readonly say: (line: string) => void;
}

/** Enough that the slowest part is never waiting for the generator, few enough that queues stay short. */
const busyConnections = 16;

interface Target {
  readonly name: string;
  readonly port: number;
  readonly connections: number;
  readonly nextHead: () => string;
  readonly recorded: boolean;
}

interface Bench extends BenchOptions {
  readonly ca: Buffer;
  readonly lag: LedgerLag;
}

export async function runBench(options: BenchOptions): Promise<BenchReport> {
  await using cleanup = new AsyncDisposableStack();
  const upstream = await startProcess(cleanup, 'upstream.ts', [String(options.upstreamPort)]);
  const tls = ['gateway.pem', 'gateway-key.pem', 'ca.pem'].map((file) => join(options.tlsFolder, file));
  const bare = await startProcess(cleanup, 'bare-proxy.ts', [`http://127.0.0.1:${upstream.port}`, ...tls]);
  const bench: Bench = {
    ...options,
    ca: readFileSync(join(options.tlsFolder, 'ca.pem')),
    lag: cleanup.use(watchLedgerLag(options.redisUrl)),
    pids: { ...options.pids, upstream: upstream.pid, 'bare proxy': bare.pid, load: process.pid },
  };
  const targets = makeTargets(bare.port, options);
  const rounds: Measure[][] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    const measures: Measure[] = [];
    for (const target of targets) {
      options.say(`round ${round} of ${options.rounds}: ${target.name}`);
      measures.push(await measure(bench, target));
    }
    rounds.push(measures);
  }
  options.say('ingestion of events');
  return {
    takenAt: new Date().toISOString(),
    machine: machine(),
    secondsEach: options.seconds,
    rounds: options.rounds,
    measures: targets.map((_, at) => middle(rounds.flatMap((round) => round[at] ?? []))),
    ...compare(rounds),
    ingestion: await measureIngestion({ ...bench, leaveEvents: () => loadReused(bench, targets) }),
    profiles: options.profile ? await profiles(bench, targets) : {},
  };
}

interface Started {
  readonly pid: number;
  readonly port: number;
}

async function startProcess(cleanup: AsyncDisposableStack, file: string, args: string[]): Promise<Started> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup.defer(async () => {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(Number(line.toString())));
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  return { pid: child.pid ?? 0, port };
}

function makeTargets(barePort: number, { gatewayPort, governed }: BenchOptions): Target[] {
  const { mount } = governed;
  const bearer = `Authorization: Bearer ${governed.mandate}\r\n`;
  let next = 0;
  const bare = { port: barePort, nextHead: () => `GET /reports/1 HTTP/1.1\r\n${bearer}`, recorded: false };
  const reused = { port: gatewayPort, nextHead: () => `GET ${mount}/1 HTTP/1.1\r\n${bearer}`, recorded: true };
  // A path that was never asked for before: neither verdict nor policy answer can be remembered.
  const fresh = {
    port: gatewayPort,
    nextHead: () => `GET ${mount}/${(next += 1)} HTTP/1.1\r\n${bearer}`,
    recorded: true,
  };
  return [
    { name: 'bare proxy', connections: busyConnections, ...bare },
    { name: 'governed, verdict reused', connections: busyConnections, ...reused },
    { name: 'governed, decided each time', connections: busyConnections, ...fresh },
    { name: 'bare proxy, one connection', connections: 1, ...bare },
    { name: 'governed, verdict reused, one connection', connections: 1, ...reused },
    { name: 'governed, decided, one connection', connections: 1, ...fresh },
  ];
}

async function measure(bench: Bench, target: Target): Promise<Measure> {
  const { seconds, warmUpSeconds, ca, pids, lag } = bench;
  const lastThird = sleep((warmUpSeconds + (seconds * 2) / 3) * 1000).then(() => (target.recorded ? lag.read() : 0));
  const running = runLoad({ host: '127.0.0.1', ca, seconds, warmUpSeconds, ...target });
  await sleep(warmUpSeconds * 1000);
  const before = cpuSeconds(pids);
  const load = await running;
  const cores = coresUsed(before, cpuSeconds(pids), seconds);
  const ledgerLag = target.recorded ? { before: await lastThird, after: await lag.read() } : null;
  await untilCaughtUp(lag);
  return { name: target.name, connections: target.connections, load: checked(load, target.name), cores, ledgerLag };
}

/** A figure made of refusals would be worth nothing. */
function checked(load: LoadResult, name: string): LoadResult {
  const others = Object.keys(load.statuses).filter((status) => status !== '200');
  if (load.requests === 0 || others.length > 0) {
    throw new Error(`${name}: not every answer was 200: ${JSON.stringify(load.statuses)}`);
  }
  return load;
}

/** The next measure does not pay for the evidence of the one before. */
async function untilCaughtUp(lag: LedgerLag): Promise<void> {
  for (let attempt = 0; attempt < 600 && (await lag.read()) > 0; attempt += 1) await sleep(100);
}

function middle(measures: readonly Measure[]): Measure {
  const sorted = measures.toSorted((a, b) => a.load.perSecond - b.load.perSecond);
  const found = sorted[Math.floor(sorted.length / 2)];
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

async function loadReused({ ca, seconds }: Bench, targets: readonly Target[]): Promise<void> {
  const target = targets.find(({ name }) => name === 'governed, verdict reused');
  if (target !== undefined) await runLoad({ host: '127.0.0.1', ca, seconds, warmUpSeconds: 0, ...target });
}

async function profiles(bench: Bench, targets: readonly Target[]): Promise<Record<string, CostlyPlace[]>> {
  const target = targets.find(({ name }) => name === 'governed, decided each time');
  if (target === undefined) return {};
  const found: Record<string, CostlyPlace[]> = {};
  for (const part of ['gateway', 'sts', 'audit']) {
    bench.say(`profiling ${part}`);
    const load = runLoad({
      host: '127.0.0.1',
      ca: bench.ca,
      seconds: bench.seconds,
      warmUpSeconds: bench.warmUpSeconds,
      ...target,
    });
    await sleep(bench.warmUpSeconds * 1000);
    found[part] = await profileProcess(bench.pids[part] ?? 0, Math.max(0.1, bench.seconds - 1));
    await load;
  }
  return found;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** What governing costs beside the bare proxy of the same round: neighbours of a shared machine change between rounds. */
function compare(rounds: readonly (readonly Measure[])[]): Pick<BenchReport, 'ratios' | 'addedLatencyMs'> {
  const over = (compareRound: (byName: (name: string) => LoadResult) => number): number =>
    median(
      rounds.map((round) =>
        compareRound((name) => {
          const measured = round.find((each) => each.name === name);
          if (measured === undefined) throw new Error(`${name} was not measured`);
          return measured.load;
        }),
      ),
    );
  const share = (name: string): number => over((of) => of(name).perSecond / of('bare proxy').perSecond);
  const added = (at: 'p50Ms' | 'p99Ms'): number =>
    over((of) => of('governed, verdict reused, one connection')[at] - of('bare proxy, one connection')[at]);
  return {
    ratios: {
      'verdict reused / bare proxy': share('governed, verdict reused'),
      'decided each time / bare proxy': share('governed, decided each time'),
    },
    addedLatencyMs: { p50: added('p50Ms'), p99: added('p99Ms') },
  };
}

function machine(): BenchReport['machine'] {
  const [cpu] = cpus();
  return { cores: cpus().length, model: cpu?.model ?? 'unknown', node: process.version };
}
