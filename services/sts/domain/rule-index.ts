// Comparisons that OPA's rule index cannot take in: it panics on them while it compiles, and the request that brought them
// never gives back its lock, after which no policy of any zone loads until OPA is started anew (seen in OPA 1.18). They are
// refused before OPA compiles them. Where such values do no harm is told by test/conformance/rego/rule-index.test.ts.
import type { JsonObject, JsonValue } from '#mesh/failure';

export interface IndexFinding {
  /** The name to look for in the source. */
  readonly name: string;
  readonly message: string;
}

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const composites: ReadonlySet<JsonValue | undefined> = new Set(['array', 'set', 'object']);
const equalities: ReadonlySet<string> = new Set(['equal', 'eq']);
const bindings: ReadonlySet<string> = new Set(['assign', 'eq']);
const memberships: ReadonlySet<string> = new Set(['internal.member_2', 'internal.member_3']);

/** The terms inside a literal; of an object its values, which are what membership looks at. */
function elementsOf({ type, value }: JsonObject): readonly (JsonValue | undefined)[] {
  if (!composites.has(type) || !Array.isArray(value)) return [];
  const list = value as readonly JsonValue[];
  return type === 'object'
    ? list.map((pair) => (Array.isArray(pair) ? (pair as readonly JsonValue[])[1] : pair))
    : list;
}

function holdsComposite(term: JsonObject): boolean {
  return elementsOf(term).some((element) => isObject(element) && composites.has(element['type']));
}

/** A set, an object, or an array with one of the three in it: the index has no place for it as a value. */
function isUnindexable(term: JsonObject): boolean {
  return term['type'] === 'array' ? holdsComposite(term) : composites.has(term['type']);
}

function operatorOf(term: JsonValue | undefined): string {
  if (!isObject(term) || !Array.isArray(term['value'])) return '';
  const parts = term['value'] as readonly JsonValue[];
  return parts.map((part) => (isObject(part) && typeof part['value'] === 'string' ? part['value'] : '')).join('.');
}

interface Comparison {
  readonly operator: string;
  readonly operands: readonly JsonObject[];
}

/** Every expression of the rule, at whatever depth, except under `not`, which the index passes over. */
function comparisonsOf(rule: JsonValue): readonly Comparison[] {
  const found: Comparison[] = [];
  const pending: JsonValue[] = [rule];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    if (isObject(next) && Array.isArray(next['terms']) && next['negated'] !== true) {
      const [operator, ...operands] = next['terms'] as readonly JsonValue[];
      found.push({ operator: operatorOf(operator), operands: operands.filter(isObject) });
    }
    for (const child of Object.values(next)) if (child !== undefined) pending.push(child);
  }
  return found;
}

const nameOf = (term: JsonObject | undefined): string | undefined =>
  term?.['type'] === 'var' && typeof term['value'] === 'string' ? term['value'] : undefined;

/** What literals a variable of the rule is given. The index looks through a variable, once. */
function literalsOf(comparisons: readonly Comparison[]): ReadonlyMap<string, readonly JsonObject[]> {
  const literals = new Map<string, JsonObject[]>();
  for (const { operator, operands } of comparisons) {
    const [left, right] = operands;
    if (!bindings.has(operator) || !left || !right) continue;
    for (const [variable, literal] of [
      [left, right],
      [right, left],
    ] as const) {
      const name = nameOf(variable);
      if (name !== undefined && composites.has(literal['type'])) {
        literals.set(name, [...(literals.get(name) ?? []), literal]);
      }
    }
  }
  return literals;
}

/** Everything in a rule's syntax tree that OPA's index would break on. */
export function unindexable(rule: JsonValue): readonly IndexFinding[] {
  const comparisons = comparisonsOf(rule);
  const literals = literalsOf(comparisons);
  const behind = (term: JsonObject): readonly JsonObject[] => literals.get(nameOf(term) ?? '') ?? [term];
  return comparisons.flatMap(({ operator, operands }): IndexFinding[] => {
    if (memberships.has(operator)) {
      const collection = operands.at(-1);
      if (!collection || !behind(collection).some(holdsComposite)) return [];
      const message = 'membership in a list of lists, sets or objects cannot be compiled; use "some x in …; x == …"';
      return [{ name: 'in', message }];
    }
    if (!equalities.has(operator)) return [];
    const literal = operands.find((term) => behind(term).some((one) => one !== term && isUnindexable(one)));
    const other = operands.find((term) => term !== literal);
    if (!literal || !other || (other['type'] !== 'ref' && other['type'] !== 'var')) return [];
    const name = nameOf(literal) ?? '';
    return [{ name, message: `${name} cannot be compiled as a value to compare with; write it where it is compared` }];
  });
}
