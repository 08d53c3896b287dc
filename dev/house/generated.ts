// Whether committed generated code is what the contracts generate: generates anew elsewhere and compares byte by byte.
// It stands alone because the comparison must not touch the folder it judges.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateInto, withScratch } from '../generate.ts';
import { renderProblems, type Problem } from './problem.ts';

async function readTree(folder: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return new Map(files.map((file, at) => [file.slice(folder.length + 1), texts[at] ?? '']));
}

/** Every file that differs between two trees, with how. */
export function differences(
  committed: ReadonlyMap<string, string>,
  fresh: ReadonlyMap<string, string>,
): readonly Problem[] {
  const remedy = 'Run `npm run generate` and commit gen/; never edit it by hand.';
  const paths = [...new Set([...committed.keys(), ...fresh.keys()])].toSorted();
  return paths.flatMap((path) => {
    if (committed.get(path) === fresh.get(path)) {
      return [];
    }
    const missing = fresh.has(path) ? 'generated-file-missing' : 'generated-file-without-contract';
    const rule = committed.has(path) && fresh.has(path) ? 'generated-file-differs' : missing;
    return [{ where: join('gen', path), rule, remedy }];
  });
}

/** Generates into a scratch folder and compares with gen/ of the current folder. */
async function checkGenerated(): Promise<readonly Problem[]> {
  return await withScratch(async (folder) => {
    await generateInto(folder);
    return differences(await readTree('gen'), await readTree(join(folder, 'gen')));
  });
}

if (import.meta.main) {
  const problems = await checkGenerated();
  process.stdout.write(renderProblems(problems));
  process.exitCode = problems.length === 0 ? 0 : 1;
}
