import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const script = resolve(import.meta.dirname, '../../../.ci/summary.mjs');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'caracal-summary-'));
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

const clean = {
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  success: true,
  testResults: [],
};

interface Ends {
  readonly report?: object | string;
  readonly check?: number;
  readonly tests?: number;
}

async function summarize({ report, check = 0, tests = 0 }: Ends): Promise<{ code: number | null; last: string }> {
  const path = join(folder, 'results.json');
  await rm(path, { force: true });
  if (report !== undefined) await writeFile(path, typeof report === 'string' ? report : JSON.stringify(report));
  const { status, stdout } = spawnSync(process.execPath, [script, path, String(check), String(tests)], {
    encoding: 'utf8',
  });
  return { code: status, last: stdout.trimEnd().split('\n').at(-1) ?? '' };
}

it('ends with the counts of the report', async () => {
  expect(await summarize({ report: clean })).toEqual({ code: 0, last: '3 passed, 0 failed' });
  const bad = { ...clean, numFailedTests: 2, success: false };
  expect(await summarize({ report: bad, tests: 1 })).toEqual({ code: 1, last: '3 passed, 2 failed' });
});

it.each<[string, Ends, string]>([
  ['the run ended badly although no test failed', { report: clean, tests: 1 }, '3 passed, 1 failed'],
  ['the report says so although nothing failed', { report: { ...clean, success: false } }, '3 passed, 1 failed'],
  ['no test ran', { report: { ...clean, numPassedTests: 0 } }, '0 passed, 1 failed'],
  ['there is no report', {}, '0 passed, 1 failed'],
  ['the report is cut off', { report: '{"numPassed' }, '0 passed, 1 failed'],
  ['the checks failed', { report: clean, check: 1 }, '3 passed, 1 failed'],
  [
    'a file broke before its first test',
    { report: { ...clean, success: false, testResults: [{ name: 'x', status: 'failed', assertionResults: [] }] } },
    '3 passed, 1 failed',
  ],
])('fails when %s', async (_, ends, last) => {
  expect(await summarize(ends)).toEqual({ code: 1, last });
});
