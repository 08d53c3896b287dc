import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanHouse } from './clean-house.ts';
import { lintExceptions, lintViolations } from './lint-violations.ts';
import { plantTree, runTool, type Run, type Tree } from './tree.ts';

interface Finding {
  readonly at: string;
  readonly rule: string;
}

/** `path:line:column: sentence [Error/plugin(rule)]`, one line each. */
function readFindings(output: string): readonly Finding[] {
  return [...output.matchAll(/^([^\s:]+):\d+:\d+: .*\[Error\/(.+)\]$/gm)].map(([, at = '', rule = '']) => ({
    at,
    rule,
  }));
}

describe('a house with one violation per rule of the linter', () => {
  let tree: Tree;
  let run: Run;
  let findings: readonly Finding[];

  beforeAll(async () => {
    const planted = Object.fromEntries(lintViolations.map(({ at, text }) => [at, text]));
    tree = await plantTree({ ...cleanHouse, ...lintExceptions, ...planted });
    run = await runTool(tree, 'oxlint', ['--format=unix']);
    findings = readFindings(run.output);
  });
  afterAll(async () => await tree[Symbol.asyncDispose]());

  it('is refused', () => {
    expect(run.code).toBe(1);
  });

  it.each(lintViolations)('is reported as breaking $rule at $at', ({ rule, at }) => {
    expect(findings).toContainEqual({ at, rule });
  });

  it('is reported nowhere but where it was violated', () => {
    const planted = new Set(lintViolations.map(({ at }) => at));
    expect(findings.filter(({ at }) => !planted.has(at))).toEqual([]);
  });
});
