/** Runs the shell blocks of a page one after another in one bash, as a reader would paste them, and keeps what each said. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ShellBlock {
  /** The heading it stands under and its place there, for test titles. */
  readonly title: string;
  readonly code: string;
  /** Words after `run` in the block's mark: what must be installed for it. */
  readonly needs: readonly string[];
  /** Undefined for a block that only stands there; a page's walk runs those that have `run`. */
  readonly isRun: boolean;
  /** The `text` block that follows at once: what it prints, `…` standing for anything within a line. */
  readonly shows: string | undefined;
}

export interface BlockOutcome {
  readonly exitCode: number | undefined;
  /** Commands that ended with a failure, wherever they stand in the block. */
  readonly failed: readonly string[];
  readonly output: string;
  readonly errors: string;
}

const fence = /^```(\S*)[ \t]*(.*)\n([\s\S]*?)^```$/gm;

/** Every `sh` block of a Markdown page, in order. */
export function shellBlocks(page: string): ShellBlock[] {
  const fences = [...page.matchAll(fence)];
  return fences.flatMap((match, at): ShellBlock[] => {
    const [whole, language = '', marks = '', code = ''] = match;
    if (language !== 'sh') return [];
    const end = match.index + whole.length;
    const next = fences[at + 1];
    const follows = next !== undefined && next[1] === 'text' && page.slice(end, next.index).trim() === '';
    const [mark, ...needs] = marks.split(' ');
    const line = page.slice(0, match.index).split('\n').length;
    return [
      {
        title: `line ${line}, ${headingAt(page, match.index)}`,
        code,
        needs,
        isRun: mark === 'run',
        shows: follows ? next[3] : undefined,
      },
    ];
  });
}

function headingAt(page: string, index: number): string {
  const headings = [...page.slice(0, index).matchAll(/^#+ (.*)$/gm)];
  return headings.at(-1)?.[1] ?? 'the top';
}

export interface WalkOptions {
  /** Where the reader stands. */
  readonly folder: string;
  /** Kept apart from that folder: blocks, outputs and exit codes. */
  readonly notes: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly limitMs: number;
}

/**
 * Runs the blocks in the order given; what one defines the next one has. Resolves when the last has ended, after one with a
 * command that failed, or when the time is over, and ends everything the blocks left running.
 */
export async function walk(blocks: readonly ShellBlock[], options: WalkOptions): Promise<BlockOutcome[]> {
  const { folder, notes, environment, limitMs } = options;
  mkdirSync(notes, { recursive: true });
  const file = (at: number, kind: string): string => join(notes, `${at}.${kind}`);
  const lines = blocks.map((block, at) => {
    writeFileSync(file(at, 'sh'), block.code);
    return `failed=${file(at, 'failed')}; . ${file(at, 'sh')} > ${file(at, 'out')} 2> ${file(at, 'err')}; echo $? > ${file(at, 'code')}; [ ! -e "$failed" ] || exit 1`;
  });
  // Functions and subshells tell of their failures too.
  const driver = ['set -E', `trap 'echo "$BASH_COMMAND" >> "$failed"' ERR`, ...lines].join('\n');
  writeFileSync(join(notes, 'walk.sh'), `${driver}\n`);
  const child = spawn('bash', [join(notes, 'walk.sh')], {
    cwd: folder,
    env: environment,
    stdio: 'ignore',
    detached: true,
  });
  const end = (): void => endGroup(child.pid);
  const timer = setTimeout(end, limitMs);
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve());
  });
  clearTimeout(timer);
  end();
  const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  return blocks.map((_, at) => {
    const code = read(file(at, 'code')).trim();
    return {
      exitCode: code === '' ? undefined : Number(code),
      failed: read(file(at, 'failed')).split('\n').filter(Boolean),
      output: read(file(at, 'out')),
      errors: read(file(at, 'err')),
    };
  });
}

/** Everything a block left in the background belongs to the group of its shell. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is empty: nothing was left.
  }
}

/** What a page shows as a pattern: `…` stands for anything within a line, everything else for itself. */
export function shownPattern(shows: string): RegExp {
  const lines = shows.trimEnd().split('\n');
  const pattern = lines.map((line) =>
    line
      .split('…')
      .map((part) => RegExp.escape(part))
      .join('.*'),
  );
  return new RegExp(`^${pattern.join('\\n')}\\s*$`);
}
