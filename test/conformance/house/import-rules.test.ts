import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unseenFiles } from '../../../dev/house/boundaries.ts';
import { importRules } from '../../../dev/house/import-rules.ts';
import { cleanHouse } from './clean-house.ts';
import { violatingFiles, violations } from './import-violations.ts';
import { plantTree, readProblems, runOurs, type Reported, type Run, type Tree } from './tree.ts';

describe('a house with one violation per import rule', () => {
  let tree: Tree;
  let run: Run;
  let problems: readonly Reported[];

  beforeAll(async () => {
    tree = await plantTree({ ...cleanHouse, ...violatingFiles });
    run = await runOurs(tree, 'dev/house/boundaries.ts');
    problems = readProblems(run.output);
  });
  afterAll(async () => await tree[Symbol.asyncDispose]());

  it('is refused', () => {
    expect(run.code).toBe(1);
  });

  it('has a violation for every rule, and no violation without a rule', () => {
    expect(Object.keys(violations).toSorted()).toEqual(importRules.map(({ name }) => name ?? '').toSorted());
  });

  it.each(Object.entries(violations))('is reported as breaking %s, with the remedy', (rule, { at }) => {
    const remedy = importRules.find(({ name }) => name === rule)?.comment;
    const reported = problems.filter((problem) => problem.rule === rule && problem.where.split(' → ').includes(at));
    expect(reported).not.toEqual([]);
    expect(reported.map((problem) => problem.remedy)).toEqual(reported.map(() => remedy));
  });

  it('is reported nowhere but where it was violated', () => {
    const planted = new Set(Object.keys(violatingFiles));
    expect(problems.filter(({ where }) => !where.split(' → ').some((path) => planted.has(path)))).toEqual([]);
  });
});

it('gives every import rule a remedy that says what to do', () => {
  for (const { name, comment } of importRules) {
    expect(comment, name).toMatch(/.{40,}/);
  }
});

describe('a source file that the rules did not look at', () => {
  it('fails the check although no rule is broken', async () => {
    await using tree = await plantTree({ ...cleanHouse, 'attic/stray.ts': '// Stands in no known folder.\n' });
    const { code, output } = await runOurs(tree, 'dev/house/boundaries.ts');
    expect(code).toBe(1);
    expect(readProblems(output).map(({ where, rule }) => [where, rule])).toEqual([
      ['attic/stray.ts', 'every-module-looked-at'],
    ]);
  });

  it('is every file, when the tool looked at none and reported success', () => {
    const listed = ['mesh/ids/index.ts', 'README.md', 'dev/lock.mjs', 'dev/lock.d.mts'];
    expect(unseenFiles(listed, []).map(({ where }) => where)).toEqual(['mesh/ids/index.ts', 'dev/lock.mjs']);
  });
});
