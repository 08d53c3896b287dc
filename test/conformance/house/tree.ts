// A small house in a temporary folder, for showing that a rule bites without keeping a violation in our own tree.
// It stands alone because every proof of this folder builds one.
import { execFile, type ExecException } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../../..');

/** Our own settings of the tools, so that a proof speaks about the real rules. */
const settings = ['package.json', 'tsconfig.json', '.oxlintrc.json', 'buf.yaml', 'buf.gen.yaml', '.gitignore'];

export interface Tree extends AsyncDisposable {
  readonly folder: string;
}

/** Writes the files into a fresh repository with our settings and packages; disposing removes it. */
export async function plantTree(files: Readonly<Record<string, string>>): Promise<Tree> {
  const folder = await mkdtemp(join(tmpdir(), 'caracal-house-'));
  for (const name of settings) {
    await copyFile(join(root, name), join(folder, name));
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await promisify(execFile)('git', ['-C', folder, '-c', 'init.defaultBranch=main', 'init', '--quiet']);
  // .gitignore names a folder, and here the packages are a link.
  await mkdir(join(folder, '.git', 'info'), { recursive: true });
  await writeFile(join(folder, '.git', 'info', 'exclude'), 'node_modules\n');
  return { folder, [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }) };
}

export interface Run {
  readonly code: number;
  readonly output: string;
}

/** Runs a program in the tree and returns what it printed, whatever its exit code. */
async function run(tree: Tree, program: string, args: readonly string[]): Promise<Run> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, [...args], {
      cwd: tree.folder,
      maxBuffer: 16 * 1024 * 1024,
    });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as ExecException & { readonly stdout: string; readonly stderr: string };
    return { code: typeof code === 'number' ? code : 1, output: stdout + stderr };
  }
}

/** Runs one of our own checks, named by its path in the repository, over the tree. */
export async function runOurs(tree: Tree, script: string, args: readonly string[] = []): Promise<Run> {
  return await run(tree, process.execPath, [join(root, script), ...args]);
}

/** Runs an installed tool over the tree. */
export async function runTool(tree: Tree, tool: string, args: readonly string[] = []): Promise<Run> {
  return await run(tree, join(root, 'node_modules', '.bin', tool), args);
}

export interface Reported {
  readonly where: string;
  readonly rule: string;
  readonly remedy: string;
}

/** Reads back what our checks print: the place, then rule and remedy beneath it. */
export function readProblems(output: string): readonly Reported[] {
  return [...output.matchAll(/^(\S.*)\n {4}([a-z0-9-]+): (.+)$/gm)].map(([, where = '', rule = '', remedy = '']) => ({
    where,
    rule,
    remedy,
  }));
}
