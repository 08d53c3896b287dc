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

/** What the machine did that was none of the bench's: rates taken beside it say little. */
export const othersName = 'others';

/** proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; idle and iowait are not work. */
function machineTicks(): number {
  try {
    const [user = 0, nice = 0, system = 0, , , ...rest] = (readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '')
      .split(/\s+/)
      .slice(1, 9)
      .map(Number);
    return rest.reduce((sum, ticks) => sum + ticks, user + nice + system);
  } catch {
    return 0;
  }
}

/**
 * Seconds of CPU that each named process has used so far, with those of its descendants that have no name of their own, and
 * under {@link othersName} all else; zero where there is no /proc.
 */
export function cpuSeconds(pids: Readonly<Record<string, number>>): Record<string, number> {
  const all = new Map<number, ProcessTimes>();
  for (const entry of readable('/proc')) {
    const times = /^\d+$/.test(entry) ? readTimes(entry) : undefined;
    if (times !== undefined) all.set(Number(entry), times);
  }
  const named = new Set(Object.values(pids));
  const own = Object.entries(pids).map(([name, pid]) => [name, sumBelow(pid, { all, named })] as const);
  const others = machineTicks() - own.reduce((sum, [, ticks]) => sum + ticks, 0);
  return Object.fromEntries(
    [...own, [othersName, others] as const].map(([name, ticks]) => [name, ticks / ticksPerSecond]),
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
