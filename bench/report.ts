// What a run found, as JSON for comparison and as a table for people.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { othersName } from './cpu.ts';
import type { Ingestion } from './ingestion.ts';
import type { LoadResult } from './load.ts';
import type { CostlyPlace } from './profile.ts';

export interface Measure {
  readonly name: string;
  readonly connections: number;
  readonly load: LoadResult;
  /** Cores used by each part while this was measured. */
  readonly cores: Readonly<Record<string, number>>;
  /** Entries the ledger was behind at the start and the end of the last third; null where nothing is recorded. */
  readonly ledgerLag: { readonly before: number; readonly after: number } | null;
}

export interface BenchReport {
  readonly takenAt: string;
  readonly machine: { readonly cores: number; readonly model: string; readonly node: string };
  readonly secondsEach: number;
  readonly rounds: number;
  /** The round of median rate for each measure. */
  readonly measures: readonly Measure[];
  /** Medians of what each round says beside its own bare proxy, like the next. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Milliseconds added to the bare proxy on one connection. */
  readonly addedLatencyMs: { readonly p50: number; readonly p99: number };
  readonly ingestion: Ingestion;
  readonly profiles: Readonly<Record<string, readonly CostlyPlace[]>>;
}

export interface ExchangeBenchReport {
  readonly takenAt: string;
  readonly machine: { readonly cores: number; readonly model: string; readonly node: string };
  readonly secondsEach: number;
  readonly rounds: number;
  /** The round of median rate for each measure. */
  readonly measures: readonly Measure[];
  /** Medians of what each round says beside its own baseline. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly profiles: Readonly<Record<string, readonly CostlyPlace[]>>;
}

export function writeReport(folder: string, report: BenchReport): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'governed-call.json');
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  const taken = { title: 'A governed call', command: 'npm run bench', lines: conclusions(report) };
  writeFileSync(join(folder, 'governed-call.md'), markdown(report, taken));
  return file;
}

/** Writes `token-exchange.json` and `.md`. */
export function writeExchangeReport(folder: string, report: ExchangeBenchReport): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'token-exchange.json');
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  const command = 'npm run bench -- token-exchange';
  const taken = { title: 'A token exchange', command, lines: exchangeConclusions(report) };
  writeFileSync(join(folder, 'token-exchange.md'), markdown(report, taken));
  return file;
}

const one = (value: number): string => value.toFixed(1);
const two = (value: number): string => value.toFixed(2);

function measureRow({ name, connections, load, cores, ledgerLag }: Measure): string[] {
  return [
    name,
    String(connections),
    String(Math.round(load.perSecond)),
    two(load.p50Ms),
    two(load.p90Ms),
    two(load.p99Ms),
    coresText(cores, load.perSecond),
    ledgerLag === null ? '' : `${ledgerLag.before} → ${ledgerLag.after}`,
  ];
}

/** Cores used by each part, and the microseconds of CPU that one of so many a second cost it. */
function coresText(cores: Readonly<Record<string, number>>, perSecond: number): string {
  const used = Object.entries(cores).filter(([, value]) => value >= 0.02);
  return used
    .map(([part, value]) => {
      const each = part === othersName ? '' : ` (${Math.round((value * 1e6) / perSecond)})`;
      return `${part} ${two(value)}${each}`;
    })
    .join(', ');
}

const heads = [
  'measure',
  'connections',
  'calls/s',
  'p50 ms',
  'p90 ms',
  'p99 ms',
  'cores used (CPU µs a call)',
  'ledger behind',
];

/** The same rows for a terminal. */
export function plainTable(report: Pick<BenchReport, 'measures'>): string {
  const rows = [heads, ...report.measures.map(measureRow)];
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n');
}

export function exchangeConclusions({ ratios, profiles }: Pick<BenchReport, 'ratios' | 'profiles'>): string[] {
  return [
    ...Object.entries(ratios).map(([name, value]) => `${name}: ${two(value)}`),
    ...Object.entries(profiles).flatMap(([part, places]) => [
      `largest costs of ${part}:`,
      ...places.map(({ place, share }) => `  ${one(share * 100)} %  ${place}`),
    ]),
  ];
}

export function conclusions({ ratios, addedLatencyMs, ingestion, profiles }: BenchReport): string[] {
  return [
    ...Object.entries(ratios).map(([name, value]) => `${name}: ${two(value)}`),
    `added on one connection: p50 ${two(addedLatencyMs.p50)} ms, p99 ${two(addedLatencyMs.p99)} ms`,
    `audit took ${Math.round(ingestion.perSecond)} of ${ingestion.events} waiting events a second (${coresText(ingestion.cores, ingestion.perSecond)})`,
    ...Object.entries(profiles).flatMap(([part, places]) => [
      `largest costs of ${part}:`,
      ...places.slice(0, 3).map(({ place, share }) => `  ${one(share * 100)} %  ${place}`),
    ]),
  ];
}

interface Taken {
  readonly title: string;
  readonly command: string;
  readonly lines: readonly string[];
}

type Measured = Pick<BenchReport, 'takenAt' | 'machine' | 'rounds' | 'secondsEach' | 'measures'>;

function markdown(report: Measured, { title, command, lines }: Taken): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    `# ${title}`,
    '',
    `Taken ${report.takenAt} on ${report.machine.cores} cores (${report.machine.model}), Node ${report.machine.node}, with load generator, upstream, Postgres, Redis and OPA on the same machine; ${report.rounds} rounds of ${report.secondsEach} s, medians. \`others\` is what else the machine did: where it is not near zero, rates and latencies say little and the CPU time of a call says more. Reproduce: \`${command}\`.`,
    '',
    row(heads),
    row(heads.map(() => '---')),
    ...report.measures.map((measure) => row(measureRow(measure))),
    '',
    ...lines.map((line) => (line.startsWith('  ') ? `  - ${line.trim()}` : `- ${line}`)),
    '',
  ].join('\n');
}
