/** The words and the JSON in which `up` and `down` tell how a stack is. */
import { isRunning } from '../process-identity.mjs';
import type { Layout } from './layout.ts';
import type { PartStatus, RunRecord } from './run-file.ts';

/** Whether every part is up, now. */
export function isWhole(record: RunRecord): boolean {
  return record.parts.every((part) => partState(part) === 'up');
}

/** The written state, unless the process has gone since. */
function partState(part: PartStatus): string {
  if (part.state === 'up' && part.process !== undefined && !isRunning(part.process)) return 'restarting';
  return part.state;
}

/** A line per part, with what a person needs when one is not up. */
export function describeParts(record: RunRecord): string[] {
  const width = Math.max(0, ...record.parts.map(({ name }) => name.length));
  return record.parts.map((part) => {
    const state = partState(part);
    const restarts = part.restarts === 0 ? '' : `, restarted ${part.restarts}x (last: ${part.lastExit ?? 'unknown'})`;
    const log = state === 'up' && part.restarts === 0 ? '' : `, log: ${part.logFile}`;
    return `  ${part.name.padEnd(width)}  ${part.address}  ${state}${restarts}${log}`;
  });
}

export interface StackReport {
  state: 'up' | 'degraded';
  alreadyRunning: boolean;
  pid: number;
  startedAt: string;
  urls: Record<string, string>;
  shellFile: string;
  logFolder: string;
  parts: { name: string; state: string; address: string; pid?: number; restarts: number; lastExit?: string }[];
}

export function reportOf(record: RunRecord, layout: Layout, alreadyRunning: boolean): StackReport {
  return {
    state: isWhole(record) ? 'up' : 'degraded',
    alreadyRunning,
    pid: record.pid,
    startedAt: record.startedAt,
    urls: record.urls,
    shellFile: layout.shellFile,
    logFolder: layout.logFolder,
    parts: record.parts.map((part) => ({
      name: part.name,
      state: partState(part),
      address: part.address,
      restarts: part.restarts,
      ...(part.process === undefined ? {} : { pid: part.process.pid }),
      ...(part.lastExit === undefined ? {} : { lastExit: part.lastExit }),
    })),
  };
}
