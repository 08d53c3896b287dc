/** Reads what the runner reported and decides what the run comes to: a number passed, a number failed, an exit code. */

/** The parts of vitest's JSON report that decide. */
export interface Report {
  numPassedTests: number;
  numFailedTests: number;
  testResults: readonly { status: string; assertionResults: readonly { status: string }[] }[];
}

export interface Verdict {
  passed: number;
  failed: number;
  exitCode: 0 | 1;
  /** Why the run failed when no test did. */
  remark?: string;
}

/** A file that could not be loaded, an unhandled error and a run without a single test count as failures. */
export function judge(report: Report | undefined, runnerExitCode: number): Verdict {
  if (report === undefined) return { passed: 0, failed: 1, exitCode: 1, remark: 'the test runner left no report' };
  const passed = report.numPassedTests;
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  ).length;
  const failed = report.numFailedTests + brokenFiles;
  if (failed > 0) return { passed, failed, exitCode: 1 };
  if (passed === 0) return { passed, failed: 1, exitCode: 1, remark: 'no test was run' };
  if (runnerExitCode !== 0)
    return { passed, failed: 1, exitCode: 1, remark: 'an error outside of any test, see above' };
  return { passed, failed: 0, exitCode: 0 };
}

/** Whether a parsed JSON value is a report. */
export function isReport(value: unknown): value is Report {
  const report = value as Partial<Report> | null;
  return (
    typeof report === 'object' &&
    typeof report?.numPassedTests === 'number' &&
    typeof report.numFailedTests === 'number' &&
    Array.isArray(report.testResults)
  );
}
