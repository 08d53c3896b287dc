// Finds exported values that no other file mentions: code that is kept but not used.
// It stands alone because the linter sees one file at a time. It reads words, not types: a name that also means
// something else elsewhere goes unnoticed, and nothing used is ever reported.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listFiles } from './listing.ts';
import { renderProblems, type Problem } from './problem.ts';

const code = /\.(?:[mc]?[jt]s|[jt]sx)$/;
const exportedValue = /^export (?:async )?(?:const|let|function\*?|class) (\w+)/gm;

/** Doors and roots are used from outside: a mesh library's index, a package's entry. Generated code offers all it has. */
const offersMore = /^(?:gen\/|mesh\/[^/]+\/index\.ts$|sdk\/|[^/]+$)/;

/** How many of the files mention each word. */
function countMentions(texts: ReadonlyMap<string, string>): ReadonlyMap<string, number> {
  const mentions = new Map<string, number>();
  for (const text of texts.values()) {
    for (const word of new Set(text.match(/\w+/g))) {
      mentions.set(word, (mentions.get(word) ?? 0) + 1);
    }
  }
  return mentions;
}

/** Exported values mentioned by their own file alone, given path to text of every source file. */
export function unusedExports(texts: ReadonlyMap<string, string>): readonly Problem[] {
  const mentions = countMentions(texts);
  return [...texts].flatMap(([path, text]) =>
    offersMore.test(path)
      ? []
      : [...text.matchAll(exportedValue)]
          .flatMap(([, name]) => (name === undefined ? [] : [name]))
          .filter((name) => mentions.get(name) === 1)
          .map((name) => ({
            where: `${path} (${name})`,
            rule: 'no-unused-export',
            remedy:
              'Nothing outside this file mentions it: drop `export`, or delete it when the file does not use it either.',
          })),
  );
}

/** The same for the repository at `root`. */
async function checkExports(root: string): Promise<readonly Problem[]> {
  const paths = (await listFiles(root)).filter((path) => code.test(path));
  const texts = await Promise.all(paths.map(async (path) => await readFile(join(root, path), 'utf8')));
  return unusedExports(new Map(paths.map((path, at) => [path, texts[at] ?? ''])));
}

if (import.meta.main) {
  const problems = await checkExports('.');
  process.stdout.write(renderProblems(problems));
  process.exitCode = problems.length === 0 ? 0 : 1;
}
