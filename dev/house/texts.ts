// Rules about what a source file says rather than what it does: its opening, its size at the door, its excuses.
// It stands alone because no linter of ours reads comments for these.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listFiles } from './listing.ts';
import type { Problem } from './problem.ts';

const code = /\.(?:[mc]?[jt]s|[jt]sx)$/;
const generated = /^gen\//;

/** A test's titles and a declaration's code file say what either is for. */
const describesItself = /\.(?:test|d)\.[mc]?ts$/;

/** main.ts is read first: environment, config, wiring, run, on one screen. */
const mainLines = 40;

interface TextRule {
  readonly name: string;
  readonly remedy: string;
  readonly breaks: (path: string, text: string) => boolean;
}

export const textRules: readonly TextRule[] = [
  {
    name: 'a-file-opens-with-its-purpose',
    remedy: 'Open the file with one or two sentences: what it decides and why it stands alone.',
    breaks: (path, text) => !describesItself.test(path) && !/^(?:#!.*\n)?(?:\/\/ |\/\*\*?\s)/.test(text),
  },
  {
    name: 'main-fits-one-screen',
    remedy: `main.ts has ${mainLines} lines at most: settings belong to config.ts, construction to wiring.ts.`,
    breaks: (path, text) => /^services\/[^/]+\/main\.ts$/.test(path) && text.trimEnd().split('\n').length > mainLines,
  },
  {
    name: 'a-disabled-rule-has-its-reason',
    remedy: 'Say why beside it: `// oxlint-disable-next-line <rule> -- <reason>`; name the rule, never all of them.',
    breaks: (_, text) =>
      text
        .split('\n')
        .some(
          (line) =>
            /^\s*(?:.*\S\s+)?(?:\/\/|\/\*)\s*(?:ox|es)lint-disable/.test(line) &&
            !/disable(?:-next-line|-line)?\s+\S+.* -- \S.{8,}/.test(line),
        ),
  },
  {
    name: 'a-todo-is-an-issue',
    remedy: 'Do it now or open an issue: the code says what is, not what is planned.',
    breaks: (_, text) => /(?:\/\/|\/\*|^\s*\*).*\b(?:TODO|FIXME|XXX|HACK)\b/m.test(text),
  },
  {
    name: 'no-test-waits-for-another-day',
    remedy: 'A test runs or does not exist: repair it, or delete it.',
    breaks: (path, text) =>
      path.endsWith('.test.ts') &&
      /\b(?:it|test|describe)(?:\.\w+)*\.(?:skip|todo|only|fails|skipIf|runIf)\b/.test(text),
  },
];

/** Every rule the text of one file breaks. */
export function textProblems(path: string, text: string): readonly Problem[] {
  return textRules
    .filter(({ breaks }) => breaks(path, text))
    .map(({ name, remedy }) => ({ where: path, rule: name, remedy }));
}

/** Reads every source file of the repository at `root` that a person wrote. */
export async function checkTexts(root: string): Promise<readonly Problem[]> {
  const paths = (await listFiles(root)).filter((path) => code.test(path) && !generated.test(path));
  const found = await Promise.all(
    paths.map(async (path) => textProblems(path, await readFile(join(root, path), 'utf8'))),
  );
  return found.flat();
}
