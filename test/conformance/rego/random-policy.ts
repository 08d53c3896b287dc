// Random policies over random inputs of every JSON type, for comparing what two ways of evaluating say. Most of what is made
// compiles; built-ins meet arguments of the wrong type often enough.

type Random = () => number;
type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

const members = ['a', 'b', 'c', 'd', 'e'] as const;
const words = ['', 'read', 'write', 'Reports:READ', 'a,b,c', 'ä', 'reports:read'];
const wholes = [0, 1, 2, 3, -7, 42, 9_007_199_254_740_991];

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}

function randomValue(random: Random, depth = 2): Json {
  const kind = Math.floor(random() * (depth > 0 ? 7 : 4));
  const some = (): Json[] => Array.from({ length: Math.floor(random() * 4) }, () => randomValue(random, depth - 1));
  switch (kind) {
    case 0:
      return pick(random, wholes);
    case 1:
    case 2:
      return pick(random, words);
    case 3:
      return pick(random, [true, false, null]);
    case 4:
    case 5:
      return some();
    default:
      return Object.fromEntries(some().map((value) => [pick(random, [...members, 'k']), value]));
  }
}

/** Every member is there most of the time. */
export function randomInput(random: Random): Record<string, Json> {
  return Object.fromEntries(
    members.filter(() => random() < 0.9).map((name): [string, Json] => [name, randomValue(random)]),
  );
}

function path(random: Random): string {
  const member = `input.${pick(random, members)}`;
  const rest = random();
  if (rest < 0.6) return member;
  return rest < 0.8 ? `${member}[0]` : `${member}.${pick(random, members)}`;
}

function literal(random: Random): string {
  const value = random() < 0.5 ? pick(random, words) : pick(random, wholes.slice(0, -1));
  return random() < 0.15 ? 'params.limit' : JSON.stringify(value);
}

function term(random: Random): string {
  return random() < 0.6 ? path(random) : literal(random);
}

const text = (random: Random): string => (random() < 0.7 ? path(random) : JSON.stringify(pick(random, words)));
const number = (random: Random): string => (random() < 0.6 ? path(random) : String(pick(random, [0, 1, 2, 3])));
const set = (random: Random): string => `{y | some y in ${path(random)}}`;

/** Each makes an expression that holds for some inputs and not for others. */
const expressions: readonly ((random: Random) => string)[] = [
  (random) => `${term(random)} ${pick(random, ['==', '!=', '<', '<=', '>', '>='])} ${term(random)}`,
  (random) => `${term(random)} in ${path(random)}`,
  (random) => `not ${path(random)}`,
  (random) => `not ${text(random)} in ${set(random)}`,
  (random) => `helper(${term(random)})`,
  (random) => `not helper(${path(random)})`,
  (random) => `${pick(random, ['startswith', 'endswith'])}(${text(random)}, ${text(random)})`,
  (random) => `count(${path(random)}) ${pick(random, ['==', '>', '<'])} ${pick(random, [0, 1, 2, 3])}`,
  (random) => `object.get(${path(random)}, "k", ${literal(random)}) != ${term(random)}`,
  (random) => `${pick(random, ['is_string', 'is_number', 'is_array', 'is_object', 'is_null'])}(${path(random)})`,
  (random) => `type_name(${path(random)}) == "${pick(random, ['string', 'array', 'object', 'number'])}"`,
  (random) => `every each in ${path(random)} { each != ${literal(random)} }`,
  (random) => `${path(random)}[_] == ${term(random)}`,
  (random) => `${set(random)} ${pick(random, ['==', '!='])} ${set(random)}`,
  (random) => `count(${set(random)} ${pick(random, ['&', '|', '-'])} ${set(random)}) > 0`,
  (random) => `${number(random)} ${pick(random, ['+', '-', '*'])} ${number(random)} > ${pick(random, [0, 2, 40])}`,
  (random) => `${pick(random, ['lower', 'upper'])}(${text(random)}) != ${JSON.stringify(pick(random, words))}`,
  (random) => `sprintf("%v:%v", [${term(random)}, ${term(random)}]) != "a:b"`,
  (random) => `split(${text(random)}, ",")[_] == ${JSON.stringify(pick(random, ['a', 'b', 'read']))}`,
  (random) => `concat("-", ${path(random)}) != ""`,
  (random) => `count(array.concat(${path(random)}, ${path(random)})) > 1`,
  (random) => `sort(${path(random)})[0] != ${literal(random)}`,
  (random) => `${pick(random, ['max', 'min'])}(${path(random)}) != ${literal(random)}`,
  (random) => `trim_prefix(${text(random)}, "re") != ${text(random)}`,
  (random) => `replace(${text(random)}, "r", "R") != ${text(random)}`,
  (random) => `count({k: v | some k, v in ${path(random)}}) != 1`,
  (random) => `regex.match("^re", ${text(random)})`,
  (random) => `to_number(${term(random)}) > 1`,
  (random) => `helper(${path(random)}) with input.${pick(random, members)} as ${literal(random)}`,
];

function body(random: Random, length: number): string {
  const chosen = Array.from({ length: 1 + Math.floor(random() * length) }, () => pick(random, expressions)(random));
  return chosen.map((expression) => `  ${expression}`).join('\n');
}

/** A whole policy; it always has an answer, and shows what it saw. */
export function randomPolicy(random: Random): string {
  const answer = (decision: string): string =>
    `{"decision": "${decision}", "evaluation_status": "complete", "determining_policies": ["${decision}"], "diagnostics": [{"seen": seen, "shown": sort(shown)}]}`;
  return [
    'package caracal.authz',
    '',
    `result := ${answer('deny')} if {\n${body(random, 2)}\n} else := ${answer('allow')} if {\n${body(random, 2)}\n} else := ${answer('abstain')}`,
    `default helper(_) := false`,
    `helper(x) if {\n  x != ${literal(random)}\n${body(random, 1).replaceAll(/(?:not )?helper\([^)]*\)/g, 'true')}\n}`,
    `default seen := "nothing"`,
    `seen := ${path(random)} if {\n${body(random, 1)}\n}`,
    `shown contains x if {\n  some x in ${path(random)}\n${body(random, 1)}\n}`,
    '',
  ].join('\n');
}
