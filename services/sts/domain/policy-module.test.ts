import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { driverModule, findPackageClause, isolatedModule, tokens } from './policy-module.ts';

const base = ['caracal', 'z_1', 'v_1'];

describe('a policy module', () => {
  it('keeps every line when its package is replaced', () => {
    const source = '# first\n\n  package caracal.authz # why\nimport rego.v1\nresult := 1\n';
    const module = isolatedModule(source, base, 3);
    expect(module?.split('\n')).toEqual([
      '# first',
      '',
      '  package caracal.z_1.v_1.p_3 import data.caracal.z_1.v_1.driver.params # why',
      'import rego.v1',
      'result := 1',
      '',
    ]);
  });

  it.each([
    '',
    'package caracal',
    'package caracal.authz.x',
    'package caracal.authz["x"]',
    'package caracal["authz"]',
    'package caracal.authz\n.x',
    'package caracal.authz import data.x',
    'package caracal.\nauthz',
    'packagecaracal.authz',
    '"package caracal.authz"',
    '`package caracal.authz`',
    'x := 1\npackage caracal.authz',
    'package other.caracal.authz',
  ])('is refused when it begins with %j', (source) => {
    expect(findPackageClause(source).kind).toBe('refused');
    expect(isolatedModule(source, base, 0)).toBeUndefined();
  });

  it('is read without loss, comments and strings apart from names', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (source) => {
        let end = 0;
        for (const token of tokens(source)) {
          expect(token.offset).toBeGreaterThanOrEqual(end);
          expect(source.slice(token.offset, token.offset + token.text.length)).toBe(token.text);
          const before = source.slice(0, token.offset).split('\n');
          expect(token.line).toBe(before.length);
          expect(token.column).toBe((before.at(-1) ?? '').length + 1);
          end = token.offset + token.text.length;
        }
      }),
    );
    const names = [...tokens('a "data.b" # data\n`data\n` c.d "un\\"closed')].filter(({ kind }) => kind === 'name');
    expect(names.map(({ text }) => text)).toEqual(['a', 'c', 'd']);
  });

  it('is collected by a driver that knows its own version', () => {
    expect(driverModule(base, { sentinel: 'a "b"', paramsJson: '{"k":1}', policies: 2 })).toBe(
      [
        'package caracal.z_1.v_1.driver',
        'sentinel := "a \\"b\\""',
        'params := {"k":1}',
        'results["0"] := data.caracal.z_1.v_1.p_0.result',
        'results["1"] := data.caracal.z_1.v_1.p_1.result',
        '',
      ].join('\n'),
    );
  });
});
