// Every permitted feature of the policy language that compiled code may answer by itself, as expressions over `input.a` and
// `input.b`, and inputs of every JSON value on which two implementations could differ.
import type { JsonValue } from '#mesh/failure';

export interface Feature {
  /** The value that is compared. */
  readonly value: string;
  /** Rules it stands on; `@` makes their names the feature's own. */
  readonly rules?: string;
}

const of = (value: string, rules?: string): Feature => ({ value, ...(rules === undefined ? {} : { rules }) });
/** What a negation sees of a call: an error where the server stops, and silence where nothing else does. */
const silent = (call: string): Feature => of(`1 if { not ${call} } else := 0`);
const holds = (condition: string): Feature => of(`1 if { ${condition} } else := 0`);

const calls = [
  ...['count', 'sort', 'max', 'min', 'type_name', 'lower', 'upper', 'object.keys', 'union', 'intersection'].map(
    (name) => `${name}(input.a)`,
  ),
  ...['is_set', 'is_number', 'is_boolean', 'is_null', 'is_object', 'is_string', 'is_array'].map(
    (name) => `${name}(input.a)`,
  ),
  ...['"a"', '["a", "b"]', '[]', '1', '["b", 0]'].map((key) => `object.get(input.a, ${key}, "none")`),
  'object.get({"q": input.a}, ["q", "a"], input.b)',
  ...['startswith', 'endswith', 'trim_prefix', 'trim_suffix', 'split'].map((name) => `${name}(input.a, "é")`),
  ...['startswith', 'endswith', 'trim_prefix', 'trim_suffix', 'split'].map((name) => `${name}(input.a, input.b)`),
  'replace(input.a, "a", input.b)',
  'concat("é", input.a)',
  'array.concat(input.a, input.b)',
  'sprintf("%v %d %s", [input.a, 1, "x"])',
  'sprintf(input.a, [input.b])',
  ...['+', '-', '*', '/', '%', '&', '|'].map((operator) => `(input.a ${operator} input.b)`),
  ...['+ 1', '- 1', '* 3', '- {1}', '& {1}', '| {1}'].map((rest) => `(input.a ${rest})`),
  'max({input.a, input.b, 1, "a"})',
  'min({input.a, input.b, 1, "a"})',
  'min([input.a, input.b, 1, "a"])',
  'sort([input.a, input.b, 1, "a", null, {}, [], {1}])',
  'count({input.a, input.b} & {1, "a"})',
  'count({input.a, input.b} - {1, "a"})',
  'union({{input.a}, {input.b}})',
  ...['object.subset({"a": 1}, input.a)', 'semver.is_valid(input.a)', 'crypto.sha256(input.a)', 'to_number(input.a)'],
  ...['json.marshal(input.a)', 'regex.match("^a", input.a)', 'strings.any_prefix_match(input.a, ["a", input.b])'],
];

const paths = [
  'a',
  'a.b',
  'a[0]',
  'a["0"]',
  'a[-1]',
  'a[""]',
  'a[null]',
  'a[true]',
  'a[[0]]',
  'a[input.b]',
  'a["a b"]',
];

const conditions = [
  ...['==', '!=', '<', '<=', '>', '>='].flatMap((operator) => [
    `input.a ${operator} input.b`,
    `[input.a, 1] ${operator} [input.b, 1]`,
    `{input.a, 1} ${operator} {input.b, 1}`,
    `{"k": input.a} ${operator} {"k": input.b}`,
    `{"k": input.a, "a": 1} ${operator} {"k": input.b, "a": input.b}`,
    `{x | some x in input.a} ${operator} {x | some x in input.b}`,
  ]),
  ...['1 in input.a', '"a" in input.a', '"a", 1 in input.a', 'input.b in input.a', 'null in input.a'],
  'some k, v in input.a; k == v',
  'some v in input.a; v > 0',
  'some i in input.a; not i',
  'every v in input.a { v > 0 }',
  'every k, v in input.a { k != v }',
  'input.a',
  'not input.a',
  'some k; input.a[k] == input.b[k]',
  'some k, j; input.a[k][j] == input.b',
];

const shapes: readonly Feature[] = [
  of('{k: v | some k, v in input.a}'),
  of('{v: k | some k, v in input.a}'),
  of('count({[k, v] | some k, v in input.a})'),
  of('{k: count(v) | some k, v in input.a; is_object(v)}'),
  of('x if { [x, _] = input.a }'),
  of('x if { {"a": x, "b": _} = input.a }'),
  of('[y, z] if { [y, [z]] = input.a }'),
  of('x if { x = input.a; x = input.b }'),
  of('x if { some i, v in input.a; v == 1; x := i }'),
  of('@f(input.a)', '@f(x) := "one" if { x == 1 } else := "text" if { is_string(x) } else := x'),
  of('@f(input.a)', '@f(1) := 1\n@f("a") := 2\n@f([]) := 3\n@f({"a": 1}) := 4\n@f(null) := 5\n@f(true) := 6'),
  of('@f(input.a, 2)', '@f([x, y], z) := [x, y, z]\n@f({"a": x}, z) := [x, z]'),
  of('@f(input.a)', 'default @f(_) := 9\n@f(x) := x.a'),
  of('@f(input.a)', '@f(x) := 1 if { x }\n@f(x) := 2 if { is_number(x) }'),
  of('1 if { not @f(input.a) } else := 0', '@f(x) := false if { is_number(x) }\n@f(x) := null if { is_string(x) }'),
  of('@p', '@p[k] := v if { some k, v in input.a }'),
  of('@p', '@p[k][j] := v if { some k, v in input.a; some j, _ in v }'),
  of('@p', '@p.a.b := input.a\n@p.a.c := 3 if { input.a == 1 }'),
  of('@p', '@p["a"] := 1 if { input.a }\n@p["a"] := 2 if { is_array(input.a) }'),
  of('@p', '@p.x[k] := 1 if { some k, _ in input.a; is_string(k) }\n@p.x.z := 3'),
  of('count(@p)', '@p contains v if { some v in input.a }'),
  of('@p[input.a]', '@p[k] := v if { some k, v in {1: 2, "a": 3, "b": {"c": 1}} }'),
  of('1 if { not @p[input.a] } else := 0', '@p contains v if { some v in ["a", 1, null, {"a": 1}, [1], true] }'),
  of('@p', 'default @p := "none"\n@p := x if { x := input.a.a } else := y if { y := input.a[0] }'),
  of('@m[input.a]', '@m := {1: "i", "1": "s", null: "n", true: "t", [1]: "l", {"a": 1}: "o", "": "e"}'),
  of('1 if { not @r } else := 0', '@r := false if { input.a }'),
  of(
    '@q',
    '@p := [input.a, input.b]\n@q := [@p, y, @p] if { y := @p with input.a as 5 with input.b as {"z": input.a} }',
  ),
  of('@q', '@f(y) := [y, input.a]\n@q := [z, u] if { z := @f(1) with input.a as 1; u := @f(1) with input.a as 2 }'),
  of(
    '@q',
    '@p contains v if { some v in input.b }\n@q := [count(r), count(@p)] if { r := @p with input.b as [input.a, 2] }',
  ),
  of('@q', '@p if { every v in input.b { v != 1 } }\n@q := 1 if { @p with input.b as [input.a] } else := 2'),
  of('y if { y := input with input.a.b.c as 2 }'),
  of('y if { y := input.a.b with input.a.b as input.b }'),
  of('1 if { not input.a.z with input as {} }'),
  of('[params.limit, input.a]'),
  of('{"x": input.a, "é\\n\\"": [null, true]}'),
  of('{input.a: 1}'),
  of('{1: input.a}'),
  of('"\\u00e9" == input.a'),
];

export const features: readonly Feature[] = [
  ...calls.map((call) => of(call)),
  ...calls.map(silent),
  ...paths.map((path) => of(`input.${path}`)),
  ...conditions.map(holds),
  ...shapes,
];

/** Whole and broken numbers, text of every kind, nothing, and what holds them. */
const values: readonly JsonValue[] = [
  ...[0, 1, -1, 2, 0.5, -0.25, 1.5, 1e-7, 5e-324, 3.141592653589793],
  ...[123_456_789_012_345, 9_007_199_254_740_991, -9_007_199_254_740_991],
  ...['', 'a', 'b', 'read', 'é', 'e\u0301', '😀x', 'a\0b', '\u0001\u001F\u007F', '"\\/', 'ß', 'İ', '\u2028', '0', '%d'],
  ...[true, false, null],
  ...[[], [1], ['a'], ['a', 'b', 'a'], [1, 1.5, 'a', null, [1], {}], [[1, 2], [3]], [null, null], [0.5, 0.5, 1]],
  ...[{}, { a: 1 }, { a: { b: 2 } }, { a: 1, b: 2, c: 3 }, { '': 1, 'a b': 2, 0: 'z' }, { b: [5], a: { b: [1] } }],
  ...[[{ a: 1 }, { a: 1 }, { a: 2 }], ['é', 'z', '😀', '\uFFFF'], { é: 'é', '😀': {} }],
  ...['a'.repeat(5000), Array.from({ length: 40 }, (_, at) => (at * 17) % 40)],
];

/** An input in which a member may be missing, and where values stand alone, in a list or in an object. */
export function featureInput(random: () => number): Record<string, JsonValue> {
  const one = (): JsonValue => values[Math.floor(random() * values.length)] ?? null;
  const some = (): JsonValue => {
    const kind = random();
    if (kind < 0.7) return one();
    return kind < 0.85 ? [one(), one()] : { a: one(), b: one() };
  };
  return Object.fromEntries(['a', 'b'].flatMap((name) => (random() < 0.95 ? [[name, some()]] : [])));
}
