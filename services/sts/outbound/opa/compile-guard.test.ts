// What a compiler that dies means for a policy, with a program in OPA's place that dies of one word.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { guardCompiler } from './compile-guard.ts';
import type { SyntaxChecker } from './syntax-checker.ts';
import type { SyntaxAnswer } from './syntax-worker.ts';

const client = { url: 'http://opa' };
const inOrder: SyntaxAnswer = { kind: 'checked', problems: [] };
const program = `#!/bin/sh
echo run >> "$0.runs"
if grep -q deadly "$2"; then echo 'panic: illegal value' >&2; exit 2; fi
if grep -q wrong "$2"; then echo '1 error occurred' >&2; exit 1; fi
`;

let folder: string;
let binary: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'caracal-guard-test-'));
  binary = join(folder, 'opa');
  await writeFile(binary, program);
  await chmod(binary, 0o700);
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

const checkerThat = (answer: SyntaxAnswer): SyntaxChecker => ({
  check: async () => answer,
  [Symbol.asyncDispose]: async () => undefined,
});
const runs = async (): Promise<number> =>
  (await readFile(`${binary}.runs`, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '').length;

describe('a policy that the compiler dies of', () => {
  it('is refused, and compiled once only', async () => {
    await using guard = guardCompiler(checkerThat(inOrder), binary);
    const answers = await Promise.all([guard.check(client, 'deadly'), guard.check(client, 'deadly')]);
    for (const answer of answers) {
      expect(answer).toMatchObject({ kind: 'checked', problems: [{ code: 'compiler_crash', line: 1, column: 1 }] });
    }
    expect(await runs()).toBe(1);
  });
});

describe('every other policy', () => {
  it('is the server’s to judge, whether it compiles or not', async () => {
    await using guard = guardCompiler(checkerThat(inOrder), binary);
    for (const source of ['right', 'wrong']) expect(await guard.check(client, source)).toEqual(inOrder);
  });

  it('that is refused already, or cannot be looked at, is not compiled', async () => {
    for (const answer of [{ kind: 'unparsed' }, { kind: 'away', timedOut: false }] as const) {
      await using guard = guardCompiler(checkerThat(answer), binary);
      expect(await guard.check(client, 'deadly')).toEqual(answer);
    }
    expect(await runs()).toBe(0);
  });

  it('is taken as before where there is no such program', async () => {
    const checker = checkerThat(inOrder);
    expect(guardCompiler(checker, undefined)).toBe(checker);
    await using guard = guardCompiler(checker, join(folder, 'nothing'));
    expect(await guard.check(client, 'deadly')).toEqual(inOrder);
  });
});
