// What OPA compiles to WebAssembly for a set version, and which built-ins the result may answer by itself. Compiled code
// takes a built-in that fails for one without an answer, where OPA's server is told to stop; so every call goes through a
// rule that answers only what both answer alike, and gives everything else up to the server.
import { findPackageClause, isolatedModule, tokens } from './policy-module.ts';

/** Ends an evaluation without an answer; the function exists in the host alone. */
export const giveUp = 'caracal.give_up';
/** Lower and upper case of ASCII text, by the host; the tables of OPA and of its compiled code may differ beyond it. */
export const hostFunctions: readonly { readonly name: string; readonly arity: number }[] = [
  { name: giveUp, arity: 1 },
  { name: 'caracal.lower', arity: 1 },
  { name: 'caracal.upper', arity: 1 },
];

export interface CompiledModule {
  readonly file: string;
  readonly text: string;
}

interface Replacement {
  readonly builtin: string;
  readonly arity: number;
  /** Conditions on a, b, c under which compiled code answers as the server does. */
  readonly given?: string;
  /** Called instead of the built-in. */
  readonly call?: string;
}

/** Beyond it compiled code and OPA's server count differently. */
const largestInteger = String(Number.MAX_SAFE_INTEGER);
const integers = ['a', 'b'].map((name) => `is_number(${name}); floor(${name}) == ${name}`).join('; ');
const smallResult = `r >= -${largestInteger}; r <= ${largestInteger}`;

/** Answered by compiled code when it has an answer. */
const kept: readonly Replacement[] = [
  { builtin: 'count', arity: 1 },
  { builtin: 'max', arity: 1 },
  // OPA's server passes over null in a set.
  { builtin: 'min', arity: 1, given: 'is_array(a)' },
  { builtin: 'sort', arity: 1 },
  { builtin: 'intersection', arity: 1 },
  { builtin: 'union', arity: 1 },
  { builtin: 'object.keys', arity: 1 },
  { builtin: 'object.get', arity: 3 },
  { builtin: 'array.concat', arity: 2 },
  { builtin: 'startswith', arity: 2 },
  { builtin: 'endswith', arity: 2 },
  { builtin: 'concat', arity: 2, given: 'is_array(b)' },
  { builtin: 'split', arity: 2, given: 'b != ""' },
  { builtin: 'replace', arity: 3, given: 'b != ""' },
  { builtin: 'trim_prefix', arity: 2 },
  { builtin: 'trim_suffix', arity: 2 },
  { builtin: 'and', arity: 2 },
  { builtin: 'or', arity: 2 },
  { builtin: 'lower', arity: 1, call: 'caracal.lower(a)' },
  { builtin: 'upper', arity: 1, call: 'caracal.upper(a)' },
];

/** Arithmetic of whole numbers; `minus` takes sets too. */
const arithmetic: readonly (Replacement & { readonly forSets?: boolean })[] = [
  { builtin: 'plus', arity: 2 },
  { builtin: 'minus', arity: 2, forSets: true },
  { builtin: 'mul', arity: 2 },
];

/** Compiled code has them, by a library of its own; whether it agrees with OPA's in every case nobody here can say. */
const leftToServer: readonly (readonly [arity: number, names: string])[] = [
  [1, 'abs ceil round sum product array.flatten array.reverse bits.negate object.union_n strings.reverse trim_space'],
  [1, 'json.marshal json.unmarshal json.is_valid base64.decode base64.encode base64.is_valid base64url.decode'],
  [1, 'base64url.encode to_number regex.is_valid'],
  [2, 'div rem bits.and bits.or bits.xor bits.lsh bits.rsh object.filter object.remove object.union json.filter'],
  [2, 'json.remove graph.reachable format_int indexof strings.replace_n trim trim_left trim_right regex.match'],
  [3, 'array.slice substring glob.match regex.find_all_string_submatch_n'],
];

/** No rule can stand in for a relation, or for a function whose name is a keyword. */
const unreplaceable = new Set(['walk', 'contains']);

const letters = ['a', 'b', 'c'];

function ruleName(builtin: string): string {
  return `s_${builtin.replaceAll('.', '_')}`;
}

function head({ builtin, arity }: Pick<Replacement, 'builtin' | 'arity'>): string {
  return `${ruleName(builtin)}(${letters.slice(0, arity).join(', ')})`;
}

function fallBack(builtin: string): string {
  return `${giveUp}("${builtin}")`;
}

function keptRule(rule: Replacement): string {
  const { builtin, arity, given, call = `${builtin}(${letters.slice(0, arity).join(', ')})` } = rule;
  const body = [...(given === undefined ? [] : [given]), `r := ${call}`].join('; ');
  return `${head(rule)} := r if { ${body} } else := ${fallBack(builtin)}`;
}

function arithmeticRule(rule: (typeof arithmetic)[number]): string {
  const { builtin } = rule;
  const call = `r := ${builtin}(a, b)`;
  const sets = rule.forSets === true ? [`if { is_set(a); is_set(b); ${call} } else := r`] : [];
  return `${head(rule)} := r ${sets.join('')} if { ${integers}; ${call}; ${smallResult} } else := ${fallBack(builtin)}`;
}

const refused: readonly Replacement[] = leftToServer.flatMap(([arity, names]) =>
  names.split(' ').map((builtin) => ({ builtin, arity })),
);
const replaced: readonly Replacement[] = [...kept, ...arithmetic, ...refused, { builtin: 'floor', arity: 1 }];

const strictRules = [
  ...kept.map(keptRule),
  ...arithmetic.map(arithmeticRule),
  ...refused.map((rule) => `${head(rule)} := ${fallBack(rule.builtin)}`),
  `${head({ builtin: 'floor', arity: 1 })} := ${fallBack('floor')}`,
];

/** A number that compiled code may hold otherwise than OPA: not whole, or too large. */
function hasDelicateNumber(source: string): boolean {
  let digits = '';
  let end = -1;
  for (const { kind, text, offset } of tokens(source)) {
    const goes = offset === end;
    if (kind === 'other' && /\d/.test(text)) digits = goes ? digits + text : text;
    else if (goes && digits !== '' && (text === '.' || /^[eE]/.test(text))) return true;
    else digits = '';
    if (digits.length >= largestInteger.length) return true;
    end = offset + text.length;
  }
  return false;
}

/**
 * Objects and sets have an order in OPA's server and none in compiled code, which shows where arrays are made of them. A bar
 * right inside brackets is such a comprehension, or a union in an array, which is rare.
 */
function hasArrayComprehension(source: string): boolean {
  const open: string[] = [];
  for (const { kind, text } of tokens(source)) {
    if (kind !== 'other') continue;
    if ('[({'.includes(text)) open.push(text);
    else if ('])}'.includes(text)) open.pop();
    else if (text === '|' && open.at(-1) === '[') return true;
  }
  return false;
}

function callsUnreplaceable(source: string): boolean {
  let name = '';
  for (const { kind, text } of tokens(source)) {
    if (text === '(' && unreplaceable.has(name)) return true;
    name = kind === 'name' ? text : '';
  }
  return false;
}

function isWhole(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isWhole);
}

/** True when the compiled form of these texts answers as OPA does, or gives up. */
export function mayBeCompiled(sources: readonly string[], params: object): boolean {
  if (!isWhole(params)) return false;
  return sources.every((source) => {
    if (hasDelicateNumber(source) || hasArrayComprehension(source)) return false;
    return !callsUnreplaceable(source) && findPackageClause(source).kind === 'found';
  });
}

/** Where the answers are, in OPA's notation of a compiler's entry point. */
export function entryPoint(base: readonly string[]): string {
  return `${base.join('/')}/driver/results`;
}

/** The modules of a set whose policies were checked. */
export function compiledModules(set: {
  readonly base: readonly string[];
  readonly paramsJson: string;
  readonly sources: readonly string[];
}): readonly CompiledModule[] {
  const path = set.base.join('.');
  const used = new Set(set.sources.flatMap((source) => [...tokens(source)].map(({ text }) => text)));
  const isUsed = ({ builtin }: Replacement): boolean =>
    // Operators have no name in the text.
    !/^[a-z0-9_.]+$/.test(builtin) || operators.has(builtin) || used.has(builtin.split('.', 1)[0] ?? '');
  const replacing = replaced
    .filter(isUsed)
    .map(({ builtin }) => `with ${builtin} as data.${path}.strict.${ruleName(builtin)}`)
    .join(' ');
  const answers = set.sources.map((_, n) => `results["${n}"] := x if { x := data.${path}.p_${n}.result ${replacing} }`);
  return [
    ...set.sources.map((source, n) => ({ file: `p_${n}.rego`, text: isolatedModule(source, set.base, n) ?? '' })),
    {
      file: 'driver.rego',
      text: [`package ${path}.driver`, `params := ${set.paramsJson}`, ...answers, ''].join('\n'),
    },
    { file: 'strict.rego', text: [`package ${path}.strict`, ...strictRules, ''].join('\n') },
  ];
}

const operators = new Set(['plus', 'minus', 'mul', 'div', 'rem', 'and', 'or']);
