import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanHouse } from './clean-house.ts';
import { plantTree, runOurs, runTool, type Tree } from './tree.ts';

let tree: Tree;

beforeAll(async () => {
  tree = await plantTree(cleanHouse);
});
afterAll(async () => await tree[Symbol.asyncDispose]());

it('finds no broken import rule in a house that keeps them all', async () => {
  const { code, output } = await runOurs(tree, 'dev/house/boundaries.ts');
  expect(output).toMatch(/^\d+ modules looked at, 0 problems\n$/);
  expect(code).toBe(0);
});

it('looks at every source file the house has', async () => {
  const { output } = await runOurs(tree, 'dev/house/boundaries.ts');
  const sources = Object.keys(cleanHouse).filter((path) => path.endsWith('.ts'));
  expect(output).toContain(`${sources.length} modules looked at`);
});

it('finds no broken rule of names and openings in it', async () => {
  expect(await runOurs(tree, 'dev/house/shape.ts')).toEqual({ code: 0, output: '' });
});

it('finds no unused export in it', async () => {
  expect(await runOurs(tree, 'dev/house/exports.ts')).toEqual({ code: 0, output: '' });
});

it('finds nothing to lint in it', async () => {
  const { code, output } = await runTool(tree, 'oxlint', ['--format=unix']);
  expect(output).not.toMatch(/\[(?:Error|Warning)/);
  expect(code).toBe(0);
});

it('finds nothing for the compiler to refuse in it', async () => {
  const { code, output } = await runTool(tree, '../typescript7/bin/tsc', ['--noEmit', '--incremental', 'false']);
  expect(output).toBe('');
  expect(code).toBe(0);
});
