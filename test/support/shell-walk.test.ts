import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { processStartTime } from '../../dev/process-identity.mjs';
import { shellBlocks, shownPattern, walk } from './shell-walk.ts';
import type { ShellBlock } from './shell-walk.ts';

const fence = '```';

function block(code: string): ShellBlock {
  return { title: '', code, needs: [], isRun: true, shows: undefined };
}

async function run(...codes: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'walk-'));
  const environment = { PATH: process.env['PATH'] };
  return await walk(codes.map(block), { folder, notes: join(folder, 'notes'), environment, limitMs: 30_000 });
}

describe('the blocks of a page', () => {
  const page = [
    ...[
      '# One',
      `${fence}sh`,
      'npm test',
      fence,
      '## Two',
      `${fence}sh run`,
      'echo a',
      fence,
      '',
      `${fence}text`,
      'a',
      fence,
    ],
    ...[`${fence}sh run grpcurl`, 'grpcurl', fence, 'and', `${fence}text`, 'b', fence, `${fence}ts`, 'c', fence],
  ].join('\n');

  test('are found with their marks, and with the text that follows at once', () => {
    expect(shellBlocks(page)).toMatchObject([
      { title: 'line 2, One', code: 'npm test\n', isRun: false, needs: [], shows: undefined },
      { title: 'line 6, Two', code: 'echo a\n', isRun: true, needs: [], shows: 'a\n' },
      { title: 'line 13, Two', code: 'grpcurl\n', isRun: true, needs: ['grpcurl'], shows: undefined },
    ]);
  });
});

describe('what a page shows', () => {
  test('stands for itself, and … for anything within a line', () => {
    expect('{"a":1,"id":"x.y"}\n').toMatch(shownPattern('{"a":1,"id":"…"}\n'));
    expect('{"a":1,"id":"x\ny"}\n').not.toMatch(shownPattern('{"a":1,"id":"…"}\n'));
    expect('axb\n').not.toMatch(shownPattern('a.b\n'));
  });

  test('is all there is', () => {
    expect('a\nb\n').not.toMatch(shownPattern('a\n'));
    expect('a\n').not.toMatch(shownPattern('a\nb\n'));
    expect('\n').toMatch(shownPattern(''));
  });
});

describe('a walk', () => {
  test('carries what one block defines into the next', async () => {
    const [, second] = await run('NAME=reports\nsay() { echo "$1 $NAME"; }', 'say the');
    expect(second).toEqual({ exitCode: 0, failed: [], output: 'the reports\n', errors: '' });
  });

  test('tells of a command that failed in a function or a substitution, and goes no further', async () => {
    const [first, second] = await run('inner() { false; true; }\ninner\nX=$(ls /does/not/exist)\necho on', 'echo next');
    expect(first).toMatchObject({ exitCode: 0, output: 'on\n' });
    expect(first?.failed).toContain('false');
    expect(first?.failed).toContain('X=$(ls /does/not/exist)');
    expect(second?.exitCode).toBeUndefined();
  });

  test('lets a loop wait for what is not there yet', async () => {
    const [first] = await run('COUNT=0\nuntil [ "$COUNT" = 3 ]; do COUNT=$((COUNT + 1)); done\necho "$COUNT"');
    expect(first).toMatchObject({ exitCode: 0, failed: [], output: '3\n' });
  });

  test('ends what a block left in the background', async () => {
    const [first] = await run('sleep 600 &\necho $!');
    const pid = Number(first?.output);
    expect(pid).toBeGreaterThan(1);
    await expect.poll(() => processStartTime(pid)).toBeUndefined();
  });
});
