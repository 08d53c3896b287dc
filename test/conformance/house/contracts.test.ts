import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { differences } from '../../../dev/house/generated.ts';
import { plantTree, readProblems, runOurs, runTool, type Tree } from './tree.ts';

const contract = (fields: string): string =>
  `syntax = "proto3";\n\npackage caracal.thing.v1;\n\n// A thing.\nmessage Thing {\n${fields}}\n`;
const before = contract('  // Its name.\n  string name = 1;\n  // Its size.\n  int64 size = 2;\n');
const path = 'proto/caracal/thing/v1/thing.proto';
const page = 'docs/decisions/0001-first.md';

async function releasedTree(): Promise<Tree> {
  const tree = await plantTree({ [path]: before, [page]: '# 0001 First\n' });
  const released = await runOurs(tree, 'dev/proto-release.ts', ['--decision', page]);
  expect(released).toMatchObject({ code: 0 });
  return tree;
}

const breaking = ['breaking', '--against', 'proto/baseline.binpb'];

describe('a contract compared with its committed image', () => {
  it('passes unchanged, and with a field more', async () => {
    await using tree = await releasedTree();
    expect(await runTool(tree, 'buf', breaking)).toEqual({ code: 0, output: '' });
    await writeFile(join(tree.folder, path), before.replace('}\n', '  // Its colour.\n  string colour = 3;\n}\n'));
    expect(await runTool(tree, 'buf', breaking)).toEqual({ code: 0, output: '' });
  });

  it.each([
    ['a removed field', contract('  string name = 1;\n')],
    ['a field of another type', before.replace('int64 size', 'string size')],
    ['a field under another JSON name', before.replace('string name', 'string title')],
  ])('is refused for %s', async (_, text) => {
    await using tree = await releasedTree();
    await writeFile(join(tree.folder, path), text);
    expect((await runTool(tree, 'buf', breaking)).code).not.toBe(0);
  });

  it('is refused for a name that breaks the STANDARD lint rules', async () => {
    await using tree = await plantTree({ [path]: before.replace('string name', 'string theName') });
    expect((await runTool(tree, 'buf', ['lint'])).output).toContain('theName');
  });

  it.each([
    ['without a page', []],
    ['with a page that does not exist', ['--decision', 'docs/decisions/0002-second.md']],
    ['with a page that is no decision', ['--decision', 'README.md']],
    ['with an empty page', ['--decision', 'docs/decisions/0003-empty.md']],
  ])('is not renewed %s', async (_, args) => {
    await using tree = await plantTree({
      [path]: before,
      'README.md': '# Thing\n',
      'docs/decisions/0003-empty.md': '',
    });
    const { code, output } = await runOurs(tree, 'dev/proto-release.ts', args);
    expect(code).toBe(1);
    expect(output).toContain('docs/decisions/');
    await expect(readFile(join(tree.folder, 'proto/baseline.binpb'))).rejects.toThrow('ENOENT');
  });
});

describe('generated code compared with a fresh generation', () => {
  it('passes as generated, and is refused when edited, missing or left over', async () => {
    await using tree = await plantTree({ [path]: before });
    expect((await runOurs(tree, 'dev/generate.ts')).code).toBe(0);
    expect(await runOurs(tree, 'dev/house/generated.ts')).toEqual({ code: 0, output: '' });

    await appendFile(join(tree.folder, 'gen/caracal/thing/v1/thing_pb.ts'), '// edited\n');
    await rm(join(tree.folder, 'gen/grpc/health/v1/health_pb.ts'));
    await writeFile(join(tree.folder, 'gen/left-over_pb.ts'), '// nobody generates this\n');
    const { code, output } = await runOurs(tree, 'dev/house/generated.ts');
    expect(code).toBe(1);
    expect(readProblems(output).map(({ where, rule }) => [where, rule])).toEqual([
      ['gen/caracal/thing/v1/thing_pb.ts', 'generated-file-differs'],
      ['gen/grpc/health/v1/health_pb.ts', 'generated-file-missing'],
      ['gen/left-over_pb.ts', 'generated-file-without-contract'],
    ]);
  });

  it('names no file when both trees are equal', () => {
    expect(differences(new Map([['a', '1']]), new Map([['a', '1']]))).toEqual([]);
  });

  it('contains no syntax that Node cannot strip', async () => {
    await using tree = await plantTree({
      [path]: `${before}\n// A colour.\nenum Colour {\n  COLOUR_UNSPECIFIED = 0;\n  COLOUR_RED = 1;\n}\n`,
    });
    await runOurs(tree, 'dev/generate.ts');
    const text = await readFile(join(tree.folder, 'gen/caracal/thing/v1/thing_pb.ts'), 'utf8');
    expect(text).not.toMatch(/^export (?:declare )?(?:const )?enum /m);
    expect(text).toContain('export const Colour = {');
  });
});
