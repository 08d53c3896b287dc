// What OPA panics on while it compiles is refused before it is put, because a request that panics leaves OPA locked for
// every zone; and what OPA takes is not refused for resembling it. OPA's own program says which is which, in a process that
// may end.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSyntaxChecker } from '../../../services/sts/outbound/opa/syntax-checker.ts';
import type { SyntaxChecker } from '../../../services/sts/outbound/opa/syntax-checker.ts';
import { testOpa } from '../../support/stack.ts';

const run = promisify(execFile);
let checker: SyntaxChecker & AsyncDisposable;
let folder: string;
beforeAll(async () => {
  checker = createSyntaxChecker({ token: testOpa().token });
  folder = await mkdtemp(join(tmpdir(), 'caracal-index-'));
});
afterAll(async () => {
  await checker?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const values = [
  '1',
  '"a"',
  '{1}',
  'set()',
  '{"a": 1}',
  '{}',
  '[1]',
  '[[1]]',
  '[{1}]',
  '{"k": [1]}',
  '[input.y]',
  '{input.y}',
];

/** Places in which a policy can put a value that is compared with something of the input. */
const places: readonly ((value: string) => string)[] = [
  (value) => `result if { input.a in {1, ${value}} }`,
  (value) => `result if { input.a in [${value}] }`,
  (value) => `result if { input.a in [${value}, 2] }`,
  (value) => `result if { input.a in {"k": ${value}} }`,
  (value) => `result if { "k", input.a in {"k": ${value}} }`,
  (value) => `result if { input.a in {[${value}], 2} }`,
  (value) => `result if { input.a.b[0] in {${value}} }`,
  (value) => `result if { (input.a in {${value}}) }`,
  (value) => `result if { (input.a in {${value}}) == true }`,
  (value) => `result := input.a in {${value}}`,
  (value) => `result if input.a in {${value}}`,
  (value) => `result contains 1 if input.a in {${value}}`,
  (value) => `result if { not input.a in {${value}} }`,
  (value) => `result if { input.a in {${value}} with input.b as 1 }`,
  (value) => `result := 1 if { input.b } else := 2 if { input.a in {${value}} }`,
  (value) => `result if { list := {1, ${value}}; input.a in list }`,
  (value) => `result if { one := ${value}; input.a in {one, 1} }`,
  (value) => `result if { x := input.a; x in {1, ${value}} }`,
  (value) => `list := {1, ${value}}\nresult if { input.a in list }`,
  (value) => `f(x) if { x in [${value}] }\nresult := f(input.a)`,
  (value) => `result if { some x in [${value}]; input.a == x }`,
  (value) => `result if { some k, x in {"p": ${value}}; input.a == x; k != "" }`,
  (value) => `result if { every x in [${value}] { input.a == x } }`,
  (value) => `result if { every x in input.l { x in [${value}] } }`,
  (value) => `result if { input.a == ${value} }`,
  (value) => `result if { ${value} == input.a }`,
  (value) => `result if { input.a = ${value} }`,
  (value) => `result if { input.a == [1, ${value}] }`,
  (value) => `result if { x := ${value}; input.a == x }`,
  (value) => `result if { x := ${value}; x == input.a }`,
  (value) => `result if { x = ${value}; input.a == x }`,
  (value) => `result if { ${value} = x; x = input.a }`,
  (value) => `result if { x := [${value}]; input.a == x }`,
  (value) => `result if { x := ${value}; y := x; input.a == y }`,
  (value) => `result if { x := input.a; y := ${value}; x == y }`,
  (value) => `result if { [x, y] := [${value}, 2]; input.a == x; y == 2 }`,
  (value) => `result if { x := ${value}; not input.a == x }`,
  (value) => `result if { x := ${value}; input.a != x }`,
  (value) => `x := ${value}\nresult if { input.a == x }`,
  (value) => `f(${value}) := 1\nresult := f(input.a)`,
  (value) => `f(x) := 1 if { x == ${value} }\nresult := f(input.a)`,
  (value) => `f(x) := 1 if { y := ${value}; x == y }\nresult := f(input.a)`,
  (value) => `f([x, ${value}]) := x\nresult := f(input.a)`,
  (value) => `result if { x := ${value}; count(x) == input.a }`,
  (value) => `result := [1 | x := ${value}; input.a == x]`,
  (value) => `result[${value}] := 1 if { input.a == ${value} }`,
  (value) => `result if { {${value}}[input.a] }`,
  (value) => `result if { input[${value}] == 1 }`,
];

/** Exit status 2 is a panic of Go; anything else is an answer. */
async function panics(sources: readonly string[]): Promise<boolean> {
  const { binary = '' } = testOpa();
  const files = await Promise.all(
    sources.map(async (source, n) => {
      const file = join(folder, `${n}.rego`);
      await writeFile(file, source.replace('package caracal.authz', `package p${n}`));
      return file;
    }),
  );
  try {
    await run(binary, ['check', ...files]);
    return false;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    return code === 2 && stderr?.startsWith('panic:') === true;
  }
}

async function refuses(source: string): Promise<boolean> {
  const answer = await checker.check({ url: testOpa().url }, source);
  return answer.kind !== 'checked' || answer.problems.some(({ code }) => code === 'unindexable_comparison');
}

describe('a policy that would bring OPA down', () => {
  it('is refused, in whatever place the value stands', async () => {
    const accepted: string[] = [];
    for (const place of places) {
      for (const value of values) {
        const source = `package caracal.authz\n${place(value)}\n`;
        if (!(await refuses(source))) accepted.push(source);
      }
    }
    // More than half of what is made does no harm.
    expect(accepted.length).toBeGreaterThan((places.length * values.length) / 2);
    if (!(await panics(accepted))) return;
    for (const source of accepted) if (await panics([source])) expect.fail(`OPA panics on\n${source}`);
  });

  it('is told what to write instead, and that is taken', async () => {
    const refused = 'package caracal.authz\nresult if { input.a in [1, {"b": 1}] }\n';
    expect(await panics([refused])).toBe(true);
    expect(await checker.check({ url: testOpa().url }, refused)).toEqual({
      kind: 'checked',
      problems: [
        {
          line: 2,
          column: 21,
          code: 'unindexable_comparison',
          message: expect.stringContaining('some x in') as string,
        },
      ],
    });
    for (const body of [
      'some x in [1, {"b": 1}]; input.a == x',
      'input.a == {"b": 1}',
      'wanted := {"a", "b"}; input.a in wanted',
      'wanted := {s | some s in input.l}; wanted == {"a"}',
      'x := {"b": 1}; x.b == input.a',
      'x := [1, 2]; input.a == x',
    ]) {
      const source = `package caracal.authz\nresult if { ${body} }\n`;
      expect([body, await refuses(source), await panics([source])]).toEqual([body, false, false]);
    }
  });
});
