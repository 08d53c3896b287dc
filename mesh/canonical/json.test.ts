import serialize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JsonRefused, canonicalJson, maxCanonicalDepth, parseCanonicalJson, parseStrictJson } from './index.ts';

const limits = { maxBytes: 1_000_000, maxDepth: 32 };

function ruleOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof JsonRefused) return `${error.path === '' ? '' : `${error.path}: `}${error.rule}`;
    throw error;
  }
  return 'accepted';
}

/** What JSON texts are made of, so that random ones are often nearly right. */
const alphabet = '{}[]",:\\u0019eE+-. truefalsn\n'.split('');

/** JSON values that have a canonical form. */
const json = fc.jsonValue({ maxDepth: 5, stringUnit: 'grapheme' }).filter((value) => {
  try {
    canonicalJson(value as never);
    return true;
  } catch {
    return false;
  }
}) as fc.Arbitrary<Parameters<typeof canonicalJson>[0]>;

describe('the canonical text', () => {
  test('is that of RFC 8785 §3.2.2 for its example', () => {
    // 1E30 of the example is left out: beyond ±(2^53-1) an integer is refused here.
    const text = String.raw`{
      "numbers": [333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`;
    expect(canonicalJson(parseStrictJson(text, limits))).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  test('sorts members by UTF-16 code units as RFC 8785 §3.2.3 shows', () => {
    const text = String.raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
      "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`;
    const names = [...canonicalJson(parseStrictJson(text, limits)).matchAll(/:"([^"]+)"/g)].map(([, name]) => name);
    expect(names).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
  });

  // RFC 8785 Appendix B, by IEEE 754 bits.
  test.each([
    ['0000000000000000', '0'],
    ['8000000000000000', '0'],
    ['0000000000000001', '5e-324'],
    ['8000000000000001', '-5e-324'],
    ['433fffffffffffff', '9007199254740991'],
    ['444b1ae4d6e2ef50', undefined],
    ['3eb0c6f7a0b5ed8d', '0.000001'],
    ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
    ['41b3de4355555553', '333333333.3333332'],
    ['41b3de4355555554', '333333333.33333325'],
    ['41b3de4355555555', '333333333.3333333'],
    ['becbf647612f3696', '-0.0000033333333333333333'],
    ['43143ff3c1cb0959', '1424953923781206.2'],
    ['7fefffffffffffff', undefined],
    ['7fffffffffffffff', undefined],
    ['7ff0000000000000', undefined],
  ])('writes the double %s as %s', (bits, text) => {
    const value = Buffer.from(bits, 'hex').readDoubleBE();
    if (text === undefined) expect(() => canonicalJson(value)).toThrow(JsonRefused);
    else expect(canonicalJson(value)).toBe(text);
  });

  test('refuses whatever has no single form, and says where', () => {
    const cases: [unknown, string][] = [
      [undefined, 'undefined has no JSON form'],
      [{ a: [1, undefined] }, 'a[1]: undefined has no JSON form'],
      [{ a: { b: undefined } }, 'a.b: undefined has no JSON form'],
      // oxlint-disable-next-line no-sparse-arrays -- a hole is what is refused
      [[1, , 2], '[1]: undefined has no JSON form'],
      [{ a: 2 ** 53 }, 'a: an integer must lie within ±(2^53-1)'],
      [[-(2 ** 53)], '[0]: an integer must lie within ±(2^53-1)'],
      [[Number.NaN], '[0]: a number must be finite'],
      [{ a: 'x\ud800' }, 'a: text must hold no lone surrogate'],
      [{ 'x\udc00': 1 }, 'text must hold no lone surrogate'],
      [{ a: 1n }, 'a: bigint has no JSON form'],
      [{ at: new Date(0) }, 'at: only plain objects have a JSON form'],
      [{ a: new Map() }, 'a: only plain objects have a JSON form'],
      [{ toJSON: () => 1 }, 'toJSON: function has no JSON form'],
    ];
    for (const [value, rule] of cases) expect(ruleOf(() => canonicalJson(value as never))).toBe(rule);
  });

  test('ends on cycles and on depth instead of overflowing', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const rule = new RegExp(`at most ${maxCanonicalDepth} levels deep$`);
    expect(ruleOf(() => canonicalJson(cycle as never))).toMatch(rule);
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    expect(ruleOf(() => canonicalJson(deep as never))).toMatch(rule);
  });

  test('is what a library for RFC 8785 writes, names that look like indexes or prototypes included', () => {
    const name = fc.oneof(fc.string(), fc.constantFrom('10', '9', '01', '__proto__', 'constructor', '-1', 'é'));
    const value = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.double({ noNaN: true }),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
      ),
    })).value;
    fc.assert(
      fc.property(value, (candidate) => {
        if (ruleOf(() => canonicalJson(candidate as never)) !== 'accepted') return;
        expect(canonicalJson(candidate as never)).toBe(serialize(candidate));
      }),
      { numRuns: 500 },
    );
  });

  test('says the same for equal values whatever the order of their members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), json), (members) => {
        const reversed = Object.fromEntries(Object.entries(members).toReversed());
        expect(canonicalJson(reversed)).toBe(canonicalJson(members));
      }),
    );
  });

  test('reads back as the value it was made of, and is its own canonical text', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        const read = parseStrictJson(text, limits);
        expect(canonicalJson(read)).toBe(text);
        // JSON has one zero.
        expect(JSON.stringify(read)).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
  });
});

describe('strict reading', () => {
  test('gives what JSON.parse gives wherever both accept', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        expect(parseStrictJson(text, limits)).toEqual(JSON.parse(text));
        expect(parseStrictJson(Buffer.from(text), limits)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('accepts nothing that JSON.parse refuses', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...alphabet) }), (text) => {
        let read: unknown;
        try {
          read = parseStrictJson(text, limits);
        } catch (error) {
          expect(error).toBeInstanceOf(JsonRefused);
          return;
        }
        expect(JSON.parse(text)).toEqual(read);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['{"a":1,"a":2}', 'a key may appear once'],
    [String.raw`{"a":1,"\u0061":2}`, 'a key may appear once'],
    ['{"a":{"b":1,"b":1}}', 'a: a key may appear once'],
    ['{"__proto__":1,"__proto__":2}', 'a key may appear once'],
    [String.raw`"\ud800"`, 'text must hold no lone surrogate'],
    [String.raw`{"\udc00x":1}`, 'text must hold no lone surrogate'],
    ['"\ud800"', 'text must hold no lone surrogate'],
    ['9007199254740992', 'an integer must lie within ±(2^53-1)'],
    ['[-9007199254740993.0]', '[0]: an integer must lie within ±(2^53-1)'],
    ['1E30', 'an integer must lie within ±(2^53-1)'],
    ['1e400', 'a number must be finite'],
    ['"a\nb"', 'text must be quoted, closed and free of control characters'],
    ['"a\u0000b"', 'text must be quoted, closed and free of control characters'],
    [String.raw`"\x41"`, 'an escape must be one of RFC 8259 §7'],
    ['{"a":1}x', 'nothing may follow the value'],
    ['{"a":1', 'an object must be closed'],
    ['{"a" 1}', 'a colon must follow a key'],
    ['[1,]', '[1]: a JSON value is expected'],
    ['01', 'nothing may follow the value'],
    ['+1', 'a JSON value is expected'],
    ['NaN', 'a JSON value is expected'],
    ['', 'a JSON value is expected'],
    ['\ufeff{}', 'a JSON value is expected'],
  ])('refuses %j', (text, rule) => {
    expect(ruleOf(() => parseStrictJson(text, limits))).toBe(rule);
  });

  test('refuses bytes that are not UTF-8 and keeps a byte-order mark from passing', () => {
    expect(ruleOf(() => parseStrictJson(Uint8Array.of(0x22, 0xc3, 0x28, 0x22), limits))).toBe(
      'the bytes must be UTF-8',
    );
    expect(ruleOf(() => parseStrictJson(Buffer.from('\ufeff1'), limits))).toBe('a JSON value is expected');
  });

  test('counts bytes, not characters, against the size', () => {
    expect(parseStrictJson('"€"', { maxBytes: 5, maxDepth: 1 })).toBe('€');
    expect(ruleOf(() => parseStrictJson('"€"', { maxBytes: 4, maxDepth: 1 }))).toBe('at most 4 bytes');
    expect(ruleOf(() => parseStrictJson(Buffer.from('"€"'), { maxBytes: 4, maxDepth: 1 }))).toBe('at most 4 bytes');
  });

  test('bounds the depth, whatever the caller allows', () => {
    expect(parseStrictJson('[[1]]', { maxBytes: 9, maxDepth: 2 })).toEqual([[1]]);
    expect(ruleOf(() => parseStrictJson('[[[]]]', { maxBytes: 9, maxDepth: 2 }))).toContain('at most 2 levels deep');
    expect(parseStrictJson('1', { maxBytes: 9, maxDepth: 0 })).toBe(1);
    const deep = '['.repeat(500_000);
    expect(ruleOf(() => parseStrictJson(deep, { maxBytes: 1_000_000, maxDepth: 1_000_000 }))).toContain(
      `at most ${maxCanonicalDepth} levels deep`,
    );
  });

  test('makes a member of __proto__ and touches no prototype', () => {
    const read = parseStrictJson('{"__proto__":{"admin":true}}', limits) as Record<string, unknown>;
    expect(Object.keys(read)).toEqual(['__proto__']);
    expect(read['admin']).toBeUndefined();
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    expect(canonicalJson(read as never)).toBe('{"__proto__":{"admin":true}}');
  });

  test('never repeats a value in what it says', () => {
    for (const text of ['{"password":"hunter2" x', '["hunter2\u0000"]', '{"a":hunter2}']) {
      try {
        parseStrictJson(text, limits);
        expect.unreachable();
      } catch (error) {
        expect(String(error)).not.toContain('hunter2');
        expect(JSON.stringify(error)).not.toContain('hunter2');
        expect(error).toMatchObject({ failureReason: 'invalid_request' });
      }
    }
  });

  test('cuts the place it names', () => {
    try {
      parseStrictJson(`{"${'k'.repeat(10_000)}":x}`, limits);
      expect.unreachable();
    } catch (error) {
      expect((error as JsonRefused).path).toHaveLength(200);
    }
  });
});

describe('reading a text that is its own canonical form', () => {
  test('gives what the strict reader gives', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(parseCanonicalJson(text, 32)).toEqual(parseStrictJson(text, limits));
      }),
    );
  });

  test('takes nothing that the strict reader refuses, and no second spelling', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...alphabet), { maxLength: 12 }), (parts) => {
        const text = parts.join('');
        const read = parseCanonicalJson(text, 32);
        if (read !== undefined) expect(canonicalJson(parseStrictJson(text, limits))).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    '{"a":1,"a":1}',
    '{"a":1,"a":2}',
    '{"b":1,"a":1}',
    ' {}',
    '{"a":9007199254740993}',
    '{"a":1.0}',
    '{"a":1e400}',
    String.raw`{"a":"\u0061"}`,
    String.raw`{"a":"\ud800"}`,
    '[[[]]]',
    'nothing',
  ])('does not take %s', (text) => {
    expect(parseCanonicalJson(text, 2)).toBeUndefined();
  });
});
