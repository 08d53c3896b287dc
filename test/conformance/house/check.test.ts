import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanHouse } from './clean-house.ts';
import { plantTree, runOurs, type Tree } from './tree.ts';

let tree: Tree;

beforeAll(async () => {
  tree = await plantTree({
    ...cleanHouse,
    'mesh/ids/misc.ts': '// Nothing; it breaks a rule of names.\nexport const x = 1;\n',
  });
});
afterAll(async () => await tree[Symbol.asyncDispose]());

it('reports each step on a line with its time, and a broken one with its findings and the way out', async () => {
  const { code, output } = await runOurs(tree, 'dev/check.ts', ['shape', 'lint']);
  expect(code).toBe(1);
  expect(output).toMatch(/^ok {4}lint +\d+\.\d s$/m);
  expect(output).toMatch(/^FAIL {2}shape +\d+\.\d s$/m);
  expect(output).toContain('mesh/ids/misc.ts\n    names-say-something: ');
  expect(output).toContain('→ Each line names its remedy');
  expect(output).toMatch(/check: broken: shape \(\d+\.\d s\)\n$/);
});

it('succeeds when every chosen step does', async () => {
  const { code, output } = await runOurs(tree, 'dev/check.ts', ['lint']);
  expect(code).toBe(0);
  expect(output).toContain('check: all 1 steps hold');
});

it('refuses a step it does not know', async () => {
  const { code, output } = await runOurs(tree, 'dev/check.ts', ['lints']);
  expect(code).toBe(2);
  expect(output).toContain('no step is called lints');
});

it('explains itself', async () => {
  const { code, output } = await runOurs(tree, 'dev/check.ts', ['--help']);
  expect(code).toBe(0);
  for (const step of ['contracts', 'generated', 'types', 'lint', 'boundaries', 'shape', 'format']) {
    expect(output).toContain(`  ${step} `);
  }
});
