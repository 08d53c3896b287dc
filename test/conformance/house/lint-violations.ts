// One deliberate violation per budget and language rule of the linter, each in a file of its own.
// It stands alone because the texts are long lists, and the proof that reads them is short.

export interface LintViolation {
  /** As the linter names it in its report. */
  readonly rule: string;
  readonly at: string;
  readonly text: string;
}

const lines = (count: number, line: (at: number) => string): string =>
  `${Array.from({ length: count }, (_, at) => line(at)).join('\n')}\n`;

const branches = lines(12, (at) => `  if (x === ${at}) return ${at};`);
const source = 'services/alpha/domain';

export const lintViolations: readonly LintViolation[] = [
  // Budgets.
  { rule: 'eslint(max-lines)', at: `${source}/long.ts`, text: lines(301, (at) => `// ${at}`) },
  { rule: 'eslint(max-lines)', at: `${source}/long.test.ts`, text: lines(601, (at) => `// ${at}`) },
  {
    rule: 'eslint(max-lines-per-function)',
    at: `${source}/long-function.ts`,
    text: `export function f(): void {\n${lines(60, (at) => `  // ${at}`)}}\n`,
  },
  {
    rule: 'eslint(complexity)',
    at: `${source}/branches.ts`,
    text: `export function f(x: number): number {\n${branches}  return -1;\n}\n`,
  },
  {
    rule: 'eslint(max-params)',
    at: `${source}/params.ts`,
    text: 'export const f = (a: number, b: number, c: number, d: number): number => a + b + c + d;\n',
  },
  { rule: 'import(no-default-export)', at: `${source}/default.ts`, text: 'export default 1;\n' },
  {
    rule: 'typescript(switch-exhaustiveness-check)',
    at: `${source}/switch.ts`,
    text: "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 0;\n}\n",
  },
  {
    rule: 'typescript(no-floating-promises)',
    at: `${source}/floating.ts`,
    text: 'const later = async (): Promise<void> => await Promise.resolve();\nlater();\n',
  },
  {
    rule: 'typescript(no-misused-promises)',
    at: `${source}/misused.ts`,
    text: 'export const f = (): void => [1].forEach(async () => await Promise.resolve());\n',
  },
  {
    rule: 'typescript(await-thenable)',
    at: `${source}/thenable.ts`,
    text: 'export const f = async (): Promise<number> => await 1;\n',
  },
  { rule: 'eslint(no-unused-vars)', at: `${source}/unused.ts`, text: 'const unused = 1;\nexport const used = 2;\n' },

  // Language.
  { rule: 'typescript(no-explicit-any)', at: `${source}/any.ts`, text: 'export const f = (x: any): unknown => x;\n' },
  {
    rule: 'typescript(no-non-null-assertion)',
    at: `${source}/non-null.ts`,
    text: 'export const f = (x?: number): number => x!;\n',
  },
  {
    rule: 'typescript(ban-ts-comment)',
    at: `${source}/silenced.ts`,
    text: "// @ts-expect-error\nexport const x: number = 'x';\n",
  },
  { rule: 'typescript(only-throw-error)', at: `${source}/thrown.ts`, text: "throw 'a word';\n" },
  { rule: 'eslint(no-var)', at: `${source}/var.ts`, text: 'export var x = 1;\n' },
  { rule: 'eslint(eqeqeq)', at: `${source}/loose.ts`, text: 'export const f = (x: number): boolean => x == 1;\n' },
  { rule: 'eslint(no-console)', at: 'mesh/telemetry/console.ts', text: "console.log('x');\n" },
  {
    rule: 'eslint(preserve-caught-error)',
    at: `${source}/lost-cause.ts`,
    text: "export function f(): void {\n  try {\n    JSON.parse('');\n  } catch {\n    throw new Error('bad');\n  }\n}\nexport function g(): void {\n  try {\n    JSON.parse('');\n  } catch (error) {\n    throw new Error(`bad ${String(error)}`);\n  }\n}\n",
  },

  // What a process has only once.
  {
    rule: 'node(no-process-env)',
    at: 'mesh/telemetry/env.ts',
    text: "export const level = process.env['LEVEL'];\n",
  },
  {
    rule: 'eslint(no-restricted-properties)',
    at: 'mesh/telemetry/destructured.ts',
    text: 'export const { env } = process;\n',
  },
  { rule: 'unicorn(no-process-exit)', at: 'mesh/telemetry/exit.ts', text: 'process.exit(1);\n' },
  { rule: 'node(no-process-env)', at: 'mesh/runtime/env.ts', text: "export const level = process.env['LEVEL'];\n" },
  {
    rule: 'node(no-process-env)',
    at: 'services/alpha/wiring-env.ts',
    text: "export const level = process.env['LEVEL'];\n",
  },
  {
    rule: 'eslint(no-restricted-globals)',
    at: 'services/alpha/flows/pid.ts',
    text: 'export const pid = process.pid;\n',
  },
  {
    rule: 'eslint(no-restricted-properties)',
    at: `${source}/now.ts`,
    text: 'export const f = (): number => Date.now();\n',
  },

  // Tests.
  {
    rule: 'vitest(no-focused-tests)',
    at: 'test/integration/focused.test.ts',
    text: "import { expect, it } from 'vitest';\nit.only('alone', () => expect(1).toBe(1));\n",
  },
  {
    rule: 'vitest(no-disabled-tests)',
    at: 'test/integration/skipped.test.ts',
    text: "import { expect, it } from 'vitest';\nit.skip('later', () => expect(1).toBe(1));\n",
  },
  {
    rule: 'vitest(expect-expect)',
    at: 'test/integration/empty.test.ts',
    text: "import { it } from 'vitest';\nit('asserts nothing', () => undefined);\n",
  },
];

/** Where the same text is allowed: the exceptions the house grants. */
export const lintExceptions: Readonly<Record<string, string>> = {
  'services/alpha/long-tests.test.ts': lines(600, (at) => `export const x${at} = ${at};`),
  'services/alpha/long-function.test.ts': `export function f(): void {\n${lines(100, (at) => `  // ${at}`)}}\n`,
  'house.config.ts': 'export default 1;\n',
  'dev/env.ts':
    "export const path = process.env['PATH'];\nif (path === undefined) process.exit(1);\nconsole.log(path);\n",
  'mesh/runtime/exit.ts': 'export const end = (code: number): never => process.exit(code);\n',
  'services/alpha/domain/exactly.ts': lines(300, (at) => `export const x${at} = ${at};`),
  'services/alpha/domain/suppressed.ts':
    "// oxlint-disable-next-line no-console -- shows that one line may be excused with its reason\nconsole.log('x');\nexport const x = 1;\n",
  'gen/long_pb.ts': `${lines(400, (at) => `// ${at}`)}export default 1;\n`,
};
