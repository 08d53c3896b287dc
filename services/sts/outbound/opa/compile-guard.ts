// Lets OPA's own program compile each new policy in a process of its own before a server is given it. A server that panics
// over a policy keeps its lock and takes no policy of anybody any more; a process that does so only ends.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { sha256Hex } from '#mesh/canonical';
import type { SyntaxChecker } from './syntax-checker.ts';

/** Compiling takes some twenty milliseconds; what takes longer is for the server's own limits. */
const timeoutMs = 5000;
/** Usual messages have a few hundred characters, and only the first of them is looked at. */
const maxOutputBytes = 1024 * 1024;
/** A digest and a word each. */
const remembered = 10_000;
/** How Go ends a program that has panicked. */
const panicStatus = 2;

const crash = {
  line: 1,
  column: 1,
  code: 'compiler_crash',
  message: 'OPA cannot compile this policy: its compiler fails on it without saying where',
} as const;

async function panics(binary: string, source: string): Promise<boolean> {
  // Without a place to write to nothing is learned here, and what is known to be harmful was refused before.
  const folder = await mkdtemp(join(tmpdir(), 'caracal-check-')).catch(() => undefined);
  if (folder === undefined) return false;
  try {
    const file = join(folder, 'policy.rego');
    await writeFile(file, source, { mode: 0o600 });
    return await new Promise((resolve) => {
      const options = {
        env: {},
        cwd: folder,
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: maxOutputBytes,
      } as const;
      // What does not compile is the server's to explain.
      execFile(binary, ['check', file], options, (error, _stdout, stderr) => {
        resolve(error?.code === panicStatus && stderr.startsWith('panic:'));
      });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** `checker`, with one process after another for what it finds nothing wrong with; undefined `binary` leaves it as it is. */
export function guardCompiler(checker: SyntaxChecker, binary: string | undefined): SyntaxChecker {
  if (binary === undefined || binary === '') return checker;
  const known = new LRUCache<string, 'compiles' | 'panics'>({ max: remembered });
  let line: Promise<unknown> = Promise.resolve();

  async function find(source: string): Promise<'compiles' | 'panics'> {
    const digest = sha256Hex(source);
    const found = known.get(digest) ?? ((await panics(binary ?? '', source)) ? 'panics' : 'compiles');
    known.set(digest, found);
    return found;
  }

  return {
    async check(client, source) {
      const answer = await checker.check(client, source);
      if (answer.kind !== 'checked' || answer.problems.length > 0) return answer;
      const turn = line.then(async () => find(source));
      line = turn.catch(() => undefined);
      return (await turn) === 'panics' ? { kind: 'checked', problems: [crash] } : answer;
    },
    [Symbol.asyncDispose]: async () => checker[Symbol.asyncDispose](),
  };
}
