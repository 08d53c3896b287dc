// Turns a policy's source into the module OPA loads: only the package clause changes, every line stays where it is. A
// small lexer finds the clause and, later, the place of whatever the syntax tree says is forbidden.

export interface Token {
  /** An identifier or keyword, a string, or a single other character. */
  readonly kind: 'name' | 'string' | 'other';
  readonly text: string;
  readonly offset: number;
  /** Both 1-based; columns count characters. */
  readonly line: number;
  readonly column: number;
}

const namePattern = /[A-Za-z_][A-Za-z0-9_]*/y;
/** Quoted strings end at the line; raw strings run to the next backtick. An unclosed one takes the rest. */
const quotedPattern = /"(?:[^"\\\n]|\\.)*"?/y;
const rawPattern = /`[^`]*`?/y;
const blankPattern = /(?:[ \t\r\n]+|#[^\n]*)+/y;

function matchAt(pattern: RegExp, source: string, offset: number): string | undefined {
  pattern.lastIndex = offset;
  return pattern.exec(source)?.[0];
}

function readToken(source: string, offset: number): { kind: Token['kind']; text: string } {
  const name = matchAt(namePattern, source, offset);
  if (name !== undefined) return { kind: 'name', text: name };
  const text = matchAt(quotedPattern, source, offset) ?? matchAt(rawPattern, source, offset);
  return text === undefined ? { kind: 'other', text: source.charAt(offset) } : { kind: 'string', text };
}

/** The tokens of a module without blanks and comments. Linear in the source's length. */
export function* tokens(source: string): Generator<Token> {
  let offset = 0;
  let line = 1;
  let lineStart = 0;
  const advance = (text: string): void => {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) {
      line += 1;
      lineStart = offset + at + 1;
    }
    offset += text.length;
  };
  while (offset < source.length) {
    const blank = matchAt(blankPattern, source, offset);
    if (blank !== undefined) {
      advance(blank);
      continue;
    }
    const { kind, text } = readToken(source, offset);
    yield { kind, text, offset, line, column: offset - lineStart + 1 };
    advance(text);
  }
}

export type PackageClause =
  | { readonly kind: 'found'; readonly start: number; readonly end: number }
  | { readonly kind: 'refused'; readonly line: number; readonly column: number };

const clause = ['package', 'caracal', '.', 'authz'];

/** The clause must be all of its line, and what follows must not make its path longer. */
function standsAlone(found: readonly Token[], next: Token | undefined): boolean {
  const line = found[0]?.line;
  return found.every((token) => token.line === line) && next?.line !== line && next?.text !== '.' && next?.text !== '[';
}

/** Where `package caracal.authz` stands, which must be the first thing of the module and alone on its line. */
export function findPackageClause(source: string): PackageClause {
  const found: Token[] = [];
  let next: Token | undefined;
  for (const token of tokens(source)) {
    if (found.length === clause.length) {
      next = token;
      break;
    }
    if (token.text !== clause[found.length]) return { kind: 'refused', line: token.line, column: token.column };
    found.push(token);
  }
  const [first, last] = [found[0], found[clause.length - 1]];
  if (!first || !last) return { kind: 'refused', line: 1, column: 1 };
  if (!standsAlone(found, next)) return { kind: 'refused', line: first.line, column: first.column };
  return { kind: 'found', start: first.offset, end: last.offset + last.text.length };
}

/**
 * The module as OPA loads it: its own package, `params` imported from the version's driver on the same line. Undefined
 * when the package clause is not `package caracal.authz`.
 */
export function isolatedModule(source: string, base: readonly string[], index: number): string | undefined {
  const found = findPackageClause(source);
  if (found.kind === 'refused') return undefined;
  const head = `package ${base.join('.')}.p_${index} import data.${base.join('.')}.driver.params`;
  return source.slice(0, found.start) + head + source.slice(found.end);
}

/**
 * The driver of a version: its sentinel, its params and the collecting rule, so that one query answers for all policies
 * and shows that everything is loaded. It is loaded last.
 */
export function driverModule(
  base: readonly string[],
  version: { sentinel: string; paramsJson: string; policies: number },
): string {
  const path = base.join('.');
  const collected = Array.from({ length: version.policies }, (_, n) => `results["${n}"] := data.${path}.p_${n}.result`);
  return [
    `package ${path}.driver`,
    `sentinel := ${JSON.stringify(version.sentinel)}`,
    `params := ${version.paramsJson}`,
    ...collected,
    '',
  ].join('\n');
}
