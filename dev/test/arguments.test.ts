import { expect, test } from 'vitest';
import { readArguments } from './arguments.ts';

test('hands filters and the runner’s options on as they are', () => {
  const request = readArguments(['services/sts', '-t', 'refuses'], {});
  expect(request).toEqual({ kind: 'run', oldestPostgres: false, runnerArguments: ['services/sts', '-t', 'refuses'] });
});

test('takes Postgres 15 from the option or the environment', () => {
  expect(readArguments(['--postgres15', 'a'], {})).toEqual({
    kind: 'run',
    oldestPostgres: true,
    runnerArguments: ['a'],
  });
  expect(readArguments([], { CARACAL_TEST_POSTGRES15: '1' })).toMatchObject({ oldestPostgres: true });
});

test('explains itself instead of running', () => {
  expect(readArguments(['a', '--help'], {})).toEqual({ kind: 'help' });
});
