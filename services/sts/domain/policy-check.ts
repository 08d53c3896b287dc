// Which references and built-ins a policy may use: the walk over the syntax tree OPA returned, before the policy is
// accepted. Refused by name wherever they stand: called, imported, bare, in `with`, behind another name.
import type { JsonObject, JsonValue } from '#mesh/failure';
import { tokens } from './policy-module.ts';
import type { Token } from './policy-module.ts';
import { unindexable } from './rule-index.ts';
import { permittedBuiltins, reservedRoots } from './rego-builtins.ts';

export interface PolicyProblem {
  readonly line: number;
  readonly column: number;
  readonly code: string;
  readonly message: string;
}

interface Finding {
  readonly code:
    | 'forbidden_reference'
    | 'forbidden_builtin'
    | 'reserved_name'
    | 'missing_result'
    | 'policy_too_complex'
    | 'unindexable_comparison';
  readonly message: string;
  /** The dotted name to look for in the source; its first place is reported. */
  readonly name: string;
  /** The word it must stand right after, where the same name may stand elsewhere rightly. */
  readonly after?: string;
}

interface Walk {
  readonly ownNames: ReadonlySet<string>;
  readonly findings: Finding[];
  nodes: number;
}

/** A policy of 256 KiB has far fewer nodes; beyond this it was written to exhaust the walk. */
const maxNodes = 2_000_000;
/** OPA's own parser stops near this depth. */
const maxDepth = 10_000;
/** A list longer than this helps nobody. */
const maxProblems = 50;

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `["var","http"],["string","send"]` as `http.send`; stops at the first element that is no plain name. */
function dottedName(reference: JsonValue | undefined): string {
  if (!isObject(reference)) return '';
  if (reference['type'] === 'var') return typeof reference['value'] === 'string' ? reference['value'] : '';
  const parts: string[] = [];
  for (const [index, term] of (Array.isArray(reference['value']) ? reference['value'] : []).entries()) {
    if (!isObject(term) || typeof term['value'] !== 'string' || term['type'] !== (index === 0 ? 'var' : 'string'))
      break;
    parts.push(term['value']);
  }
  return parts.join('.');
}

function root(name: string): string {
  return name.split('.', 1)[0] ?? '';
}

function checkCall(walk: Walk, operator: JsonValue | undefined): void {
  const name = dottedName(operator);
  if (permittedBuiltins.has(name)) return;
  if (name !== '' && walk.ownNames.has(root(name)) && !reservedRoots.has(root(name))) return;
  walk.findings.push({
    code: 'forbidden_builtin',
    message: `${name === '' ? 'this call' : name} may not be called by a policy`,
    name,
  });
}

function checkWith(walk: Walk, modifiers: JsonValue | undefined): void {
  for (const modifier of Array.isArray(modifiers) ? modifiers : []) {
    const name = isObject(modifier) ? dottedName(modifier['target']) : '';
    if (root(name) === 'input') continue;
    const code =
      permittedBuiltins.has(name) || root(name) === 'data' || walk.ownNames.has(root(name))
        ? 'forbidden_reference'
        : 'forbidden_builtin';
    walk.findings.push({ code, message: `only input may be replaced by "with", not ${name}`, name, after: 'with' });
  }
}

function checkNode(walk: Walk, node: JsonObject): void {
  if (node['type'] === 'var' && node['value'] === 'data') {
    walk.findings.push({
      code: 'forbidden_reference',
      message: 'policies read input and params, never data',
      name: 'data',
    });
  }
  if (node['type'] === 'call' && Array.isArray(node['value'])) checkCall(walk, node['value'][0]);
  if (Array.isArray(node['terms'])) checkCall(walk, node['terms'][0]);
  if (node['with'] !== undefined) checkWith(walk, node['with']);
}

function visit(walk: Walk, start: JsonValue): void {
  const pending: { value: JsonValue; depth: number }[] = [{ value: start, depth: 0 }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    walk.nodes += 1;
    if (walk.nodes > maxNodes || next.depth > maxDepth) {
      walk.findings.push({
        code: 'policy_too_complex',
        message: 'the policy is too large or too deep to be checked',
        name: '',
      });
      return;
    }
    const { value, depth } = next;
    if (isObject(value)) checkNode(walk, value);
    if (typeof value === 'object' && value !== null) {
      for (const child of Object.values(value)) pending.push({ value: child, depth: depth + 1 });
    }
  }
}

function checkImports(walk: Walk, imports: JsonValue | undefined): void {
  for (const item of Array.isArray(imports) ? imports : []) {
    const name = isObject(item) ? dottedName(item['path']) : '';
    if (root(name) === 'input' || name === 'rego.v1' || /^future\.keywords(\.[a-z]+)?$/.test(name)) continue;
    walk.findings.push({ code: 'forbidden_reference', message: `${name} may not be imported`, name });
  }
}

function ruleName(rule: JsonValue): string {
  const head = isObject(rule) ? rule['head'] : undefined;
  if (!isObject(head)) return '';
  const name = dottedName({ type: 'ref', value: head['ref'] ?? [] });
  return name === '' && typeof head['name'] === 'string' ? head['name'] : name;
}

function locate(finding: Finding, all: readonly Token[]): PolicyProblem {
  const parts = finding.name.split('.');
  const at = all.findIndex(
    (token, index) =>
      token.kind === 'name' &&
      token.text === parts[0] &&
      follows(all[index - 1], finding.after) &&
      restFollows(all, index, parts),
  );
  const token = at === -1 ? undefined : all[at];
  return { line: token?.line ?? 1, column: token?.column ?? 1, code: finding.code, message: finding.message };
}

/** A name begins after anything but a dot, or after exactly the word it is looked for behind. */
function follows(previous: Token | undefined, after: string | undefined): boolean {
  return after === undefined ? previous?.text !== '.' : previous?.text === after;
}

/** True when `.b.c`, or `["b"]["c"]`, follows the name at `index`. */
function restFollows(all: readonly Token[], index: number, parts: readonly string[]): boolean {
  let at = index + 1;
  for (const part of parts.slice(1)) {
    const dotted = all[at]?.text === '.' && all[at + 1]?.text === part;
    const bracketed = all[at]?.text === '[' && all[at + 1]?.text === JSON.stringify(part);
    if (!dotted && !bracketed) return false;
    at += dotted ? 2 : 3;
  }
  return true;
}

/** Everything in a parsed policy that may not stand there, with the place of its first use. Empty when it may be loaded. */
export function checkPolicy(tree: JsonValue, source: string): readonly PolicyProblem[] {
  const rules = isObject(tree) && Array.isArray(tree['rules']) ? tree['rules'] : [];
  const names = rules.map(ruleName);
  const walk: Walk = { ownNames: new Set(names.map(root)), findings: [], nodes: 0 };
  checkImports(walk, isObject(tree) ? tree['imports'] : undefined);
  for (const name of names) {
    if (name === '' || reservedRoots.has(root(name))) {
      walk.findings.push({ code: 'reserved_name', message: `a rule may not be called ${name}`, name });
    }
  }
  if (!names.includes('result')) {
    walk.findings.push({ code: 'missing_result', message: 'a policy defines the rule "result"', name: 'package' });
  }
  for (const rule of rules) visit(walk, rule);
  // A tree that is too large for one walk gets no second.
  if (walk.findings.every(({ code }) => code !== 'policy_too_complex')) {
    const broken = rules.flatMap((rule) => unindexable(rule));
    walk.findings.push(...broken.map((finding) => ({ ...finding, code: 'unindexable_comparison' as const })));
  }
  const all = [...tokens(source)];
  const unique = new Map(walk.findings.map((finding) => [`${finding.code} ${finding.name}`, finding]));
  return [...unique.values()].slice(0, maxProblems).map((finding) => locate(finding, all));
}
