import { describe, expect, test } from 'vitest';
import { patternProblem } from './operation-pattern.ts';
import { type ResourceRules, resourceProblems } from './resource.ts';
import { upstreamProblem } from './upstream-url.ts';

const resource: ResourceRules = {
  identifier: 'resource://calendar',
  upstreamUrl: 'https://calendar.test/base',
  scopes: ['calendar:read'],
  operations: [{ method: 'GET', path: '/events/*', scope: 'calendar:read' }],
  operationEnforcement: true,
  allowOddPaths: false,
};
const paths = (change: Partial<ResourceRules>): string[] =>
  resourceProblems({ ...resource, ...change }).map((problem) => problem.path);

describe('a resource', () => {
  test('has nothing wrong when it follows the rules', () => {
    expect(resourceProblems(resource)).toEqual([]);
  });

  test('may not pass for what the installation itself offers', () => {
    expect(paths({ identifier: 'caracal:coordinator' })).toEqual(['identifier']);
    expect(paths({ identifier: 'CARACAL:x' })).toEqual(['identifier']);
    expect(paths({ scopes: ['agent:lifecycle', 'calendar:read'] })).toEqual(['scopes[0]']);
  });

  test('knows each scope once, and operations need scopes it knows', () => {
    expect(paths({ scopes: ['calendar:read', 'calendar:read'] })).toEqual(['scopes']);
    expect(paths({ scopes: ['other'] })).toEqual(['operations[0].scope']);
    expect(paths({ scopes: ['calendar:read', 'two words'] })).toEqual(['scopes[1]']);
  });

  test('names each operation once', () => {
    const [operation] = resource.operations;
    expect(paths({ operations: [operation!, { ...operation! }] })).toEqual(['operations[1]']);
  });

  test('matches no operations on paths that are forwarded as they come', () => {
    expect(paths({ allowOddPaths: true })).toEqual(['allow_odd_paths']);
    expect(paths({ allowOddPaths: true, operations: [], operationEnforcement: true })).toEqual(['allow_odd_paths']);
    expect(paths({ allowOddPaths: true, operations: [], operationEnforcement: false })).toEqual([]);
  });
});

describe('an operation pattern', () => {
  test.each(['/', '/events', '/events/', '/events/*', '/events/**', '/**', '/*/x', "/a~b.c-d_e!$&'()+,=:@", '/%C3%A9'])(
    'may be %s',
    (pattern) => {
      expect(patternProblem(pattern)).toBeUndefined();
    },
  );

  test.each([
    ...['', 'events', '/a//b', '/a/../b', '/./a', '/a/**/b', '/a*', '/**a', '/a;b', '/a b', '/a?b', '/a#b', '/é'],
    ...['/%c3', '/%41', '/%2F', '/%5C', '/%00', '/%', '/%2', '/a\\b', '/a\u0000', '/%2e%2e', '/%7E'],
  ])('may not be %j, which no normalised path matches', (pattern) => {
    expect(patternProblem(pattern)).toBeTypeOf('string');
  });
});

describe('an upstream', () => {
  test.each(['http://127.0.0.1:8080', 'https://calendar.test', 'https://calendar.test/base/', 'http://[::1]:9/x'])(
    'may be %s',
    (url) => {
      expect(upstreamProblem(url)).toBeUndefined();
    },
  );

  test.each([
    ...['', 'calendar.test', 'ftp://x', 'file:///etc/passwd', 'javascript:alert(1)', 'https://', 'https:///x'],
    ...['https://user:secret@x.test', 'https://user@x.test', 'https://x.test/?q=1', 'https://x.test/#f'],
    ...[
      'https://x.test/a b',
      'https://x.te\tst',
      ' https://x.test',
      'https://x.test\n',
      'HTTPS://x.test',
      'https://é.test',
    ],
    ...[
      'http://x.test:99999',
      'http://[::1',
      'http://x.test?',
      'http://x.test#',
      'https://x.test\\\\evil',
      'http:\\\\\\\\x.test',
    ],
  ])('may not be %j', (url) => {
    expect(upstreamProblem(url)).toBeTypeOf('string');
  });
});
