// CPU time per part of the installation, its own processes and their children, as Linux counts it.
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in these; 100 a second on every platform Node runs on. */
const ticksPerSecond = 100;

interface ProcessTimes {
  readonly parent: number;
  readonly ticks: number;
}

/** proc_pid_stat(5): field 4 is the parent, 14 and 15 user and system time; the name in field 2 may hold anything. */
function readTimes(pid: string): ProcessTimes | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined;
  }
}

/**
 * Seconds of CPU that each named process has used so far, with those of its descendants that have no name of their own; zero
 * where there is no /proc.
 */
export function cpuSeconds(pids: Readonly<Record<string, number>>): Record<string, number> {
  const all = new Map<number, ProcessTimes>();
  for (const entry of readable('/proc')) {
    const times = /^\d+$/.test(entry) ? readTimes(entry) : undefined;
    if (times !== undefined) all.set(Number(entry), times);
  }
  const named = new Set(Object.values(pids));
  return Object.fromEntries(
    Object.entries(pids).map(([name, pid]) => [name, sumBelow(pid, { all, named }) / ticksPerSecond]),
  );
}

function readable(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function sumBelow(
  pid: number,
  known: { readonly all: ReadonlyMap<number, ProcessTimes>; readonly named: ReadonlySet<number> },
): number {
  let sum = known.all.get(pid)?.ticks ?? 0;
  for (const [child, { parent }] of known.all) {
    if (parent === pid && !known.named.has(child)) sum += sumBelow(child, known);
  }
  return sum;
}

/** Cores used by each part between two readings. */
export function coresUsed(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  seconds: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [
      name,
      Math.round(((value - (before[name] ?? 0)) / seconds) * 100) / 100,
    ]),
  );
}
