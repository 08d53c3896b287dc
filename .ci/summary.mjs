// Turns the report of the test run into the one line that ends a CI run, and its exit code.
// It stands alone, on built-ins of Node 20 only, because it must speak even when nothing could be installed.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * @typedef {{name: string, status: string, assertionResults: {status: string}[]}} FileReport
 * @typedef {{numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   success: boolean, testResults: FileReport[]}} Report what vitest's json reporter writes
 */

/** @type {Report} */
const nothing = {
  numPassedTests: 0,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  success: false,
  testResults: [],
};

/**
 * Whether a file failed without any of its tests failing: it broke while loading, or in a hook.
 * @param {FileReport} file
 */
function brokeOutsideTests({ status, assertionResults }) {
  return status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed');
}

/**
 * What a report says. A file that broke outside its tests counts as one failure, and so does a run that ended badly
 * although nothing failed (an error outside of any file, a crash, no report at all, no test at all).
 * @param {Partial<Report> | null} partial
 * @param {number} exitCode of the test run
 */
function countTests(partial, exitCode) {
  const report = { ...nothing, ...partial };
  const passed = report.numPassedTests;
  const brokenFiles = report.testResults.filter(brokeOutsideTests).map(({ name }) => name);
  const failed = report.numFailedTests + brokenFiles.length;
  const good = exitCode === 0 && report.success && passed > 0;
  return {
    passed,
    skipped: report.numPendingTests + report.numTodoTests,
    failed: failed === 0 && !good ? 1 : failed,
    brokenFiles,
  };
}

/**
 * The report, or null when the run left none that can be read.
 * @param {string} path
 */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/**
 * Prints the summary and returns the exit code of the whole run; failed checks count as one failure in the line.
 * @param {string[]} args path of the report, exit code of the checks, exit code of the tests
 */
function summarize([path = '', checkCode = '1', testCode = '1']) {
  const report = readReport(path);
  const tests = countTests(report, Number(testCode));
  if (report === null) process.stdout.write(`the test run left no report at ${path}\n`);
  for (const file of tests.brokenFiles) process.stdout.write(`broke before its first test: ${file}\n`);
  if (tests.skipped > 0) process.stdout.write(`${tests.skipped} tests were not run\n`);
  if (checkCode !== '0') process.stdout.write('the checks failed; they count as one failure\n');
  const failed = tests.failed + (checkCode === '0' ? 0 : 1);
  process.stdout.write(`${tests.passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = summarize(process.argv.slice(2));
}
