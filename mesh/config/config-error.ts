// What a process says when its settings stop it from starting.
// It stands alone because the exit code is a promise to init systems.

/** EX_CONFIG of sysexits.h: something was found in an unconfigured or misconfigured state. */
export const configExitCode = 78;

/** All problems of a configuration. No problem holds a value. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}: ${problems.join('; ')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Writes each problem on a line of its own and gives the exit code to end with. */
export function printConfigErrorAndExitCode(error: ConfigError, write: (text: string) => void): 78 {
  const lines = error.problems.map((problem) => `CONFIG_REFUSED ${problem}\n`);
  write(lines.join(''));
  return configExitCode;
}
