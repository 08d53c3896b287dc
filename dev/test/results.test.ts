import { expect, test } from 'vitest';
import { isReport, judge } from './results.ts';
import type { Report } from './results.ts';

function report(part: Partial<Report>): Report {
  return { numPassedTests: 0, numFailedTests: 0, testResults: [], ...part };
}

test('passes a run whose tests all passed', () => {
  expect(judge(report({ numPassedTests: 3 }), 0)).toEqual({ passed: 3, failed: 0, exitCode: 0 });
});

test('fails a run with a failed test', () => {
  const testResults = [{ status: 'failed', assertionResults: [{ status: 'failed' }] }];
  expect(judge(report({ numPassedTests: 3, numFailedTests: 1, testResults }), 1)).toEqual({
    passed: 3,
    failed: 1,
    exitCode: 1,
  });
});

test('counts a file that could not be loaded', () => {
  const testResults = [{ status: 'failed', assertionResults: [] }];
  expect(judge(report({ numPassedTests: 3, testResults }), 1)).toMatchObject({ failed: 1, exitCode: 1 });
});

test('fails a run without a test, without a report, and with an error outside of any test', () => {
  expect(judge(report({}), 0)).toMatchObject({ failed: 1, exitCode: 1, remark: 'no test was run' });
  expect(judge(undefined, 0)).toMatchObject({ failed: 1, exitCode: 1 });
  expect(judge(report({ numPassedTests: 3 }), 1)).toMatchObject({ passed: 3, failed: 1, exitCode: 1 });
});

test.each([null, {}, { numPassedTests: 1 }, 'text'])('takes %j for no report', (value) => {
  expect(isReport(value)).toBe(false);
});
