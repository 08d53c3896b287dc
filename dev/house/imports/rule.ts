// The few words import rules are written in: patterns of places, and the two kinds of rule (a ban, and a closed list).
// It stands alone because every group of rules is written with it.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { testPackages } from '../layout.ts';

export const anyOf = (words: readonly string[]): string => `(?:${words.join('|')})`;

/** Files of installed packages whose name matches the pattern, wherever the folder of packages stands. */
export const npm = (pattern: string): string => `(?:^|/)node_modules/${pattern}/`;

export const anyNpm = '(?:^|/)node_modules/';
export const anyMesh = '^mesh/[^/]+/index\\.ts$';
export const meshIndex = (libraries: readonly string[]): string => `^mesh/${anyOf(libraries)}/index\\.ts$`;

/** The service the importing file belongs to; the rule's `from` captures its name first. */
export const ownService = '^services/$1/';
export const testFile = '\\.test\\.ts$';
/** Declarations beside a JavaScript file: nothing imports them by name. */
export const declaration = '\\.d\\.[mc]?ts$';
export const testPackage = npm(anyOf(testPackages));

/** What a test beside the code may import on top of what that code may. */
const testExtras = [testPackage, '^test/support/', '^services/$1/outbound/memory/'];

export interface Layer {
  readonly name: string;
  readonly from: string;
  /** Patterns of everything that may be imported; the list is closed. */
  readonly allow: readonly string[];
  /** Whether Node's own modules may be imported too. */
  readonly builtins?: boolean;
  readonly remedy: string;
}

/** A closed list for one layer, as two rules: for its code, and for the tests beside it with what tests add. */
export function only(layer: Layer): IForbiddenRuleType[] {
  const rule = (name: string, from: IForbiddenRuleType['from'], allow: readonly string[]): IForbiddenRuleType => ({
    name,
    severity: 'error',
    comment: layer.remedy,
    from,
    to: {
      pathNot: [...allow],
      couldNotResolve: false,
      ...(layer.builtins === true ? { dependencyTypesNot: ['core'] } : {}),
    },
  });
  return [
    rule(layer.name, { path: layer.from, pathNot: testFile }, layer.allow),
    rule(`${layer.name}-in-tests`, { path: `${layer.from}.*${testFile}` }, [...layer.allow, ...testExtras]),
  ];
}

export interface Ban {
  readonly name: string;
  readonly from: IForbiddenRuleType['from'];
  readonly to: object;
  readonly remedy: string;
}

/** One forbidden kind of import, with the way out of it. */
export function ban({ name, from, to, remedy }: Ban): IForbiddenRuleType {
  return { name, severity: 'error', comment: remedy, from, to };
}
