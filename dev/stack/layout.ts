/** Where everything of one clone's stack is kept: below `.caracal`, and nowhere else. */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StackFiles } from '../environment.ts';

export interface Layout extends StackFiles {
  root: string;
  state: string;
  runFile: string;
  /** Held by the one `up` that is starting a supervisor. */
  upLock: string;
  logFolder: string;
  supervisorLog: string;
  secretsFile: string;
  portsFile: string;
  shellFile: string;
}

export function stackLayout(root: string, state = join(root, '.caracal')): Layout {
  return {
    root,
    state,
    runFile: join(state, 'run.json'),
    upLock: join(state, 'up.lock'),
    logFolder: join(state, 'log'),
    supervisorLog: join(state, 'log', 'supervisor.log'),
    secretsFile: join(state, 'secrets'),
    portsFile: join(state, 'ports.json'),
    shellFile: join(state, 'env'),
    tlsFolder: join(state, 'tls'),
    journalFolder: join(state, 'journal'),
    checkpointKeyFile: join(state, 'keys', 'audit-checkpoint.pem'),
  };
}

/** Makes the state folder, for its owner alone. */
export function makeStateFolder(layout: Layout): void {
  mkdirSync(layout.logFolder, { recursive: true, mode: 0o700 });
  chmodSync(layout.state, 0o700);
}
