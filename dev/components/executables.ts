/** Looks for programs the way a shell does, and runs small ones to completion with a time limit. */
import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { Environment } from './child-process.ts';

const execFileAsync = promisify(execFile);

/** The first executable file of that name on the environment's PATH. */
export function findOnPath(name: string, environment: Environment): string | undefined {
  for (const folder of (environment['PATH'] ?? '').split(delimiter)) {
    if (folder === '') continue;
    const candidate = join(folder, name);
    if (isExecutable(candidate)) return candidate;
  }
  return undefined;
}

/** Where Go's own installer and the usual package managers put it, which a login shell's PATH often leaves out. */
const goFolders: readonly string[] = ['/usr/local/go/bin', '/opt/homebrew/bin', '/usr/local/bin', '/usr/lib/go/bin'];

/** Go, from PATH or from where it is usually installed. */
export function findGo(environment: Environment, folders = goFolders): string | undefined {
  return findOnPath('go', environment) ?? findOnPath('go', { PATH: folders.join(delimiter) });
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export interface RunOptions {
  environment: Environment;
  limitMilliseconds: number;
  workingDirectory?: string;
  /** Ends the program when it is aborted. */
  signal?: AbortSignal | undefined;
}

export type RunResult = { kind: 'succeeded'; output: string } | { kind: 'failed'; message: string };

/** Runs a program to its end without a shell; a failure carries what it wrote to standard error. */
export async function runToEnd(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  try {
    const { stdout } = await execFileAsync(command, args, {
      env: options.environment,
      timeout: options.limitMilliseconds,
      killSignal: 'SIGKILL',
      maxBuffer: 16 * 1024 * 1024,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.workingDirectory === undefined ? {} : { cwd: options.workingDirectory }),
    });
    return { kind: 'succeeded', output: stdout };
  } catch (error) {
    const failure = error as { stderr?: string; message?: string; killed?: boolean };
    if (failure.killed === true) return { kind: 'failed', message: `no end within ${options.limitMilliseconds} ms` };
    return { kind: 'failed', message: failure.stderr?.trim() || (failure.message ?? 'unknown failure') };
  }
}
