// Runs the import rules over every source file and makes sure that none was missed.
// It stands alone because a boundary check that looked at nothing reports success; this one counts against git.
import { existsSync } from 'node:fs';
import { cruise, type ICruiseResult, type IViolation } from 'dependency-cruiser';
import { cruiseOptions } from './cruise-options.ts';
import { importRules } from './import-rules.ts';
import { sourceRoots } from './layout.ts';
import { listFiles } from './listing.ts';
import { renderProblems, type Problem } from './problem.ts';

const sourceFile = /\.(?:ts|mts|cts|tsx|js|mjs|cjs|jsx)$/;
/** Declarations beside a JavaScript file are found through that file; they hold no imports that run. */
const declaration = /\.d\.[mc]?ts$/;

const remedies = new Map(importRules.map((rule) => [rule.name, rule.comment ?? '']));

function problemOf({ from, to, rule, cycle }: IViolation): Problem {
  const path = cycle === undefined ? [to] : cycle.map(({ name }) => name);
  const where = from === to && cycle === undefined ? from : [from, ...path].join(' → ');
  return { where, rule: rule.name, remedy: remedies.get(rule.name) ?? '' };
}

/** Source files git lists that the cruise did not look at: each one is a hole in the rules. */
export function unseenFiles(listed: readonly string[], looked: readonly string[]): readonly Problem[] {
  const seen = new Set(looked);
  return listed
    .filter((path) => sourceFile.test(path) && !declaration.test(path) && !seen.has(path))
    .map((path) => ({
      where: path,
      rule: 'every-module-looked-at',
      remedy:
        'The import rules did not see this file: keep sources in the folders of the design (dev/house/layout.ts).',
    }));
}

interface BoundaryReport {
  readonly problems: readonly Problem[];
  /** Source files of the repository that the rules were applied to. */
  readonly modules: number;
}

/** Applies every import rule to the repository in the current folder. */
async function checkBoundaries(): Promise<BoundaryReport> {
  const listed = await listFiles('.');
  const top = listed.filter((path) => !path.includes('/') && sourceFile.test(path));
  const roots = sourceRoots.filter((root) => existsSync(root));
  const { output } = await cruise([...roots, ...top], {
    ...cruiseOptions,
    ruleSet: { forbidden: [...importRules] },
    validate: true,
    outputType: 'json',
  });
  const result = (typeof output === 'string' ? JSON.parse(output) : output) as ICruiseResult;
  const looked = result.modules.map(({ source }) => source);
  const problems = [...unseenFiles(listed, looked), ...result.summary.violations.map(problemOf)];
  const seen = new Set(looked);
  return { problems, modules: listed.filter((path) => seen.has(path)).length };
}

if (import.meta.main) {
  const { problems, modules } = await checkBoundaries();
  process.stdout.write(`${renderProblems(problems)}${modules} modules looked at, ${problems.length} problems\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
