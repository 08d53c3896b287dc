/** Reads back what `.caracal/env` sets, for commands that act on the running stack as a shell would. */
import { readFileSync } from 'node:fs';

const line = /^export ([A-Z_]+)='(.*)'$/;

/** The variables of a file that `renderShellFile` wrote. */
export function readShellFile(path: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const text of readFileSync(path, 'utf8').split('\n')) {
    const [, name, value] = line.exec(text) ?? [];
    if (name !== undefined && value !== undefined) variables[name] = value.replaceAll(`'\\''`, `'`);
  }
  return variables;
}
