import { describe, expect, it } from 'vitest';
import { compiledModules, mayBeCompiled } from './compiled-modules.ts';

const policy = (body: string): string => `package caracal.authz\n\nresult := 1 if { ${body} }\n`;

describe('what may be compiled', () => {
  it.each([
    ['comparisons', 'input.a == "b"; input.n > 3'],
    ['sets and objects', 'count({x | some x in input.a}) > 1; {k: v | some k, v in input.b} != {}'],
    ['unions of sets', 'count({1} | {2}) == 2'],
    ['digits in texts', 'input.a == "1.5 [x | y]"'],
    ['digits in names', 'input.a1.b2 == 3'],
    ['the keyword contains', 'true }\nnames contains x if { some x in input.a'],
  ])('is %s', (_what, body) => {
    expect(mayBeCompiled([policy(body)], {})).toBe(true);
  });

  it.each([
    ['a decimal', 'input.n > 1.5'],
    ['an exponent', 'input.n > 1e3'],
    ['an integer nobody holds exactly', 'input.n > 9007199254740993'],
    ['an array made of what has no order', 'count([x | some x in input.a]) > 1'],
    ['such an array over lines', '[x |\n  some x in input.a\n] != []'],
    ['a walk', 'walk(input, [_, "x"])'],
    ['a function that cannot be replaced', 'contains(input.a, "b")'],
    ['such a function after a blank', 'contains (input.a, "b")'],
  ])('is not %s', (_what, body) => {
    expect(mayBeCompiled([policy(body)], {})).toBe(false);
  });

  it('is nothing whose params hold a decimal, at any depth', () => {
    expect(mayBeCompiled([policy('true')], { a: [{ b: 3 }] })).toBe(true);
    expect(mayBeCompiled([policy('true')], { a: [{ b: 0.5 }] })).toBe(false);
  });
});

describe('the modules', () => {
  it('replace every built-in that can fail by one that gives up', () => {
    const base = ['caracal', 'z', 'v'];
    const sources = [policy('startswith(input.a, "b"); regex.match("a", input.b)')];
    const modules = compiledModules({ base, paramsJson: '{}', sources });
    const driver = modules.find(({ file }) => file === 'driver.rego')?.text ?? '';
    expect(driver).toContain('with startswith as data.caracal.z.v.strict.s_startswith');
    expect(driver).toContain('with regex.match as data.caracal.z.v.strict.s_regex_match');
    // Operators stand in the text without a name.
    for (const operator of ['plus', 'minus', 'mul', 'div', 'rem', 'and', 'or']) {
      expect(driver).toContain(`with ${operator} as `);
    }
  });
});
