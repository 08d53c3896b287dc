import { describe, expect, it } from 'vitest';
import { unusedExports } from '../../../dev/house/exports.ts';
import { missingFiles, nameProblems, pathRules } from '../../../dev/house/names.ts';
import { textProblems, textRules } from '../../../dev/house/texts.ts';
import { cleanHouse } from './clean-house.ts';
import { badTexts, excused, opening } from './text-violations.ts';
import { plantTree, readProblems, runOurs } from './tree.ts';

const badPaths: Readonly<Record<string, readonly string[]>> = {
  'names-say-something': [
    'mesh/ids/util.ts',
    'mesh/ids/string-utils.ts',
    'services/api/domain/common.ts',
    'services/api/flows/shared/read.ts',
    'services/api/domain/zone-helper.ts',
    'services/api/domain/helpers.ts',
    'dev/misc.ts',
    'docs/lib/page.md',
    'proto/caracal/core/v1/core.proto',
  ],
  'names-are-kebab-case': ['services/api/domain/ZoneRules.ts', 'dev/my_tool.ts', 'mesh/ids/Parts/id.ts'],
  'top-folders-are-known': ['src/main.ts', 'scripts/x.sh', 'packages/a/index.ts'],
  'top-level-holds-no-source': ['index.ts', 'setup.mjs'],
  'mesh-libraries-are-known': ['mesh/queue/index.ts', 'mesh/index.ts'],
  'services-have-one-shape': [
    'services/api/controllers/zone.ts',
    'services/api/server.ts',
    'services/readme.md',
    'services/api/inbound.ts',
  ],
  'inbound-kinds-are-known': ['services/api/inbound/graphql/query.ts', 'services/api/inbound/server.ts'],
  'outbound-has-folders': ['services/api/outbound/store.ts'],
  'test-folders-are-known': ['test/unit/zone.test.ts', 'test/zone.test.ts'],
  'tests-end-in-test-ts': ['mesh/ids/id.spec.ts', 'mesh/ids/__tests__/id.ts', 'dev/x.test.mjs'],
};

const goodPaths = [
  '.ci/run',
  '.dependency-cruiser.mjs',
  'README.md',
  'vitest.config.ts',
  'docs/decisions/0001-contract-baseline.md',
  'gen/grpc/reflection/v1/reflection_pb.ts',
  'migrations/0001_bootstrap.sql',
  'mesh/ids/index.ts',
  'mesh/ids/library.ts',
  'proto/caracal/sts/v1/sts.proto',
  'services/api/README.md',
  'services/api/config.test.ts',
  'services/api/inbound/http/zones/routes.ts',
  'services/api/outbound/memory/zones.ts',
  'sdk/python/caracalai_sdk/_client.py',
  'test/support/manual-clock.ts',
];

describe('names', () => {
  it('are judged by rules that each have their violations here', () => {
    expect(Object.keys(badPaths).toSorted()).toEqual(pathRules.map(({ name }) => name).toSorted());
  });

  it.each(Object.entries(badPaths).flatMap(([rule, paths]) => paths.map((path) => ({ rule, path }))))(
    'refuse $path by $rule',
    ({ rule, path }) => {
      const problem = nameProblems([path]).find((candidate) => candidate.rule === rule);
      expect(problem?.where).toBe(path);
      expect(problem?.remedy).toMatch(/.{20,}/);
    },
  );

  it.each(goodPaths)('accept %s', (path) => {
    expect(nameProblems([path])).toEqual([]);
  });

  it('ask for the page of a service and the door of a mesh library', () => {
    const problems = missingFiles(['services/api/main.ts', 'mesh/ids/id.ts', 'mesh/time/index.ts']);
    expect(problems.map(({ where }) => where)).toEqual(['services/api/README.md', 'mesh/ids/index.ts']);
  });
});

describe('texts', () => {
  it('are judged by rules that each have their violations here', () => {
    expect(Object.keys(badTexts).toSorted()).toEqual(textRules.map(({ name }) => name).toSorted());
  });

  it.each(Object.entries(badTexts).flatMap(([rule, cases]) => cases.map(([path, text]) => ({ rule, path, text }))))(
    'refuse by $rule: $text',
    ({ rule, path, text }) => {
      expect(textProblems(path, text).map((problem) => problem.rule)).toEqual([rule]);
    },
  );

  it.each([
    ['mesh/ids/id.ts', '/** Decides something. */\nexport const x = 1;\n'],
    ['mesh/ids/id.ts', excused],
    ['mesh/ids/id.test.ts', "import { it } from 'vitest';\n"],
    ['services/api/main.ts', `${opening}${'run();\n'.repeat(39)}`],
  ])('accept %s: %s', (path, text) => {
    expect(textProblems(path, text)).toEqual([]);
  });
});

describe('exports', () => {
  it('are refused when no other file mentions them', () => {
    const texts = new Map([
      ['mesh/ids/a.ts', 'export const kept = 1;\nexport function lonely(): void {}\nexport class Used {}\n'],
      ['mesh/ids/b.ts', "import { kept, Used } from './a.ts';\n"],
    ]);
    expect(unusedExports(texts).map(({ where, rule }) => [where, rule])).toEqual([
      ['mesh/ids/a.ts (lonely)', 'no-unused-export'],
    ]);
  });

  it('of a mesh library as a whole, of generated code and of types are free', () => {
    const texts = new Map([
      ['mesh/ids/index.ts', 'export const offered = 1;\n'],
      ['gen/a_pb.ts', 'export const generated = 1;\n'],
      ['mesh/ids/a.ts', 'export interface Options {}\nexport type Reason = 1;\n'],
    ]);
    expect(unusedExports(texts)).toEqual([]);
  });
});

it('reports names and texts of a whole house with their remedies and fails', async () => {
  await using tree = await plantTree({
    ...cleanHouse,
    'mesh/ids/utils.ts': 'export const nothing = 1;\n',
  });
  const { code, output } = await runOurs(tree, 'dev/house/shape.ts');
  expect(code).toBe(1);
  expect(readProblems(output).map(({ where, rule }) => [where, rule])).toEqual([
    ['mesh/ids/utils.ts', 'names-say-something'],
    ['mesh/ids/utils.ts', 'a-file-opens-with-its-purpose'],
  ]);
});
