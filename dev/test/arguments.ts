/** What the test command was asked to do. */

export type TestRequest = { kind: 'help' } | { kind: 'run'; oldestPostgres: boolean; runnerArguments: string[] };

export const testUsage = `usage: npm test -- [filter...] [--postgres15] [runner options]

Runs the test suite on real Postgres, Redis and OPA that are started for this run and stopped afterwards.

  filter         only test files whose path contains it, e.g. services/sts
  -t <pattern>   only tests whose title matches
  --postgres15   run everything on Debian's Postgres 15 instead of the packaged 18

DATABASE_URL (of an administrator), REDIS_URL and OPA_URL with OPA_TOKEN name components to use instead.
The last line says how many tests passed and failed; the exit code is 0 only when all of at least one passed.`;

/** Everything but our own options goes to the runner as it is. */
export function readArguments(
  args: readonly string[],
  variables: Readonly<Record<string, string | undefined>>,
): TestRequest {
  if (args.includes('--help') || args.includes('-h')) return { kind: 'help' };
  const oldestPostgres = args.includes('--postgres15') || variables['CARACAL_TEST_POSTGRES15'] === '1';
  return { kind: 'run', oldestPostgres, runnerArguments: args.filter((argument) => argument !== '--postgres15') };
}
