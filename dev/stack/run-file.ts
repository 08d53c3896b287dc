/**
 * What the supervisor writes down about itself and its parts, and how others read it. It stands alone because the
 * file outlives its writer: whoever reads it must tell a running supervisor from one that is gone.
 */
import { readFileSync, rmSync } from 'node:fs';
import { isRunning } from '../process-identity.mjs';
import type { ProcessIdentity } from '../process-identity.mjs';
import { writePrivate } from '../secrets.ts';

export type PartState = 'starting' | 'up' | 'restarting' | 'stopping' | 'stopped';

export interface PartStatus {
  name: string;
  state: PartState;
  /** Where it listens, for people. */
  address: string;
  logFile: string;
  /** Of the process started last. */
  process?: ProcessIdentity;
  restarts: number;
  /** How it ended last, when it did. */
  lastExit?: string;
}

export type RunPhase = 'starting' | 'ready' | 'stopping' | 'failed';

export interface RunRecord extends ProcessIdentity {
  phase: RunPhase;
  startedAt: string;
  /** Why the start failed. */
  message?: string;
  urls: Record<string, string>;
  parts: PartStatus[];
}

export type RunState =
  | { kind: 'none' }
  /** The supervisor lives. */
  | { kind: 'running'; record: RunRecord }
  /** The supervisor is gone; processes of its parts may still run. */
  | { kind: 'gone'; record: RunRecord };

/** Whole or not at all: a reader never sees half a record. */
export function writeRunFile(path: string, record: RunRecord): void {
  writePrivate(path, `${JSON.stringify(record, null, 2)}\n`);
}

/** A damaged file counts as none: there is nothing in it to act on. */
export function readRunFile(path: string): RunState {
  const record = parseRecord(path);
  if (record === undefined) return { kind: 'none' };
  return { kind: isRunning(record) ? 'running' : 'gone', record };
}

export function removeRunFile(path: string): void {
  rmSync(path, { force: true });
}

function parseRecord(path: string): RunRecord | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<RunRecord>;
    const complete =
      typeof value.pid === 'number' &&
      typeof value.startTime === 'string' &&
      typeof value.phase === 'string' &&
      Array.isArray(value.parts);
    return complete ? (value as RunRecord) : undefined;
  } catch {
    return undefined;
  }
}
