import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processStartTime } from '../process-identity.mjs';
import { readRunFile, writeRunFile } from './run-file.ts';
import type { RunRecord } from './run-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'caracal-run-'));
  path = join(folder, 'run.json');
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const record = (startTime: string): RunRecord => ({
  pid: process.pid,
  startTime,
  phase: 'ready',
  startedAt: '2026-01-01T00:00:00.000Z',
  urls: {},
  parts: [],
});

test('knows a supervisor that lives', () => {
  writeRunFile(path, record(processStartTime(process.pid) ?? ''));
  expect(readRunFile(path).kind).toBe('running');
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('takes a process with the same number and another start time for another process', () => {
  writeRunFile(path, record('another boot:1'));
  expect(readRunFile(path).kind).toBe('gone');
});

test.each([undefined, '', '{', '[]', '{"pid":"1"}'])('takes a missing or damaged file (%j) for none', (content) => {
  if (content !== undefined) writeFileSync(path, content);
  expect(readRunFile(path)).toEqual({ kind: 'none' });
});
