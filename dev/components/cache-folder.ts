/** The one folder outside a clone that is written to: what is costly to get and the same for every clone. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from './child-process.ts';

/** `${XDG_CACHE_HOME:-~/.cache}/caracal`; a relative XDG_CACHE_HOME is ignored (XDG Base Directory Specification). */
export function cacheFolder(environment: Environment): string {
  const base = environment['XDG_CACHE_HOME'];
  if (base?.startsWith('/') === true) return join(base, 'caracal');
  return join(environment['HOME'] ?? homedir(), '.cache', 'caracal');
}
