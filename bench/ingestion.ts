// How fast Audit takes events: it is stopped while calls leave their evidence in the stream, and timed while it catches up.
// It stands alone because nothing else of the bench may run meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { coresUsed, cpuSeconds } from './cpu.ts';
import type { LedgerLag } from './ledger-lag.ts';

export interface Ingestion {
  /** Entries that had been left in the stream. */
  readonly events: number;
  readonly perSecond: number;
  /** Cores used by each part meanwhile. */
  readonly cores: Readonly<Record<string, number>>;
}

export interface IngestionOptions {
  readonly pids: Readonly<Record<string, number>>;
  readonly lag: LedgerLag;
  /** Leaves events behind; resolves when the last call is answered. */
  readonly leaveEvents: () => Promise<unknown>;
}

/** A hundredth of what a second's ingestion takes, so that looking costs nothing and the end is known closely. */
const lookEveryMs = 10;
/** A minute is ten times what the slowest run should need. */
const looks = 6000;

export async function measureIngestion({ pids, lag, leaveEvents }: IngestionOptions): Promise<Ingestion> {
  const audit = pids['audit'] ?? 0;
  if (audit === 0) throw new Error('the process of audit is not known');
  process.kill(audit, 'SIGSTOP');
  try {
    await leaveEvents();
  } finally {
    process.kill(audit, 'SIGCONT');
  }
  const before = cpuSeconds(pids);
  const startedMs = performance.now();
  const events = await lag.read();
  let left = events;
  for (let look = 0; look < looks && left > 0; look += 1) {
    await sleep(lookEveryMs);
    left = await lag.read();
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return { events, perSecond: (events - left) / seconds, cores: coresUsed(before, cpuSeconds(pids), seconds) };
}
