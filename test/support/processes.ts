/** Services as processes of a test: started with a given environment, watched, killed, and gone with the run. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ServiceName } from '#mesh/topology';
import { signalProcess } from '../../dev/components/child-process.ts';
import type { Environment, ProcessExit } from '../../dev/components/child-process.ts';
import { startService } from '../../dev/components/service.ts';
import { recordProcess } from '../../dev/test/run-folder.ts';
import { testEndpoints } from './stack.ts';

export interface ServiceProcess extends AsyncDisposable {
  readonly name: ServiceName;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  isReady(): Promise<boolean>;
  /** Everything the process has written so far. */
  log(): string;
  /** Sends a signal; false when the process is gone already. */
  signal(signal: NodeJS.Signals): boolean;
  /** Asks it to drain and waits for the end. */
  stop(): Promise<void>;
}

export interface ServiceProcessOptions {
  /** Complete but for PATH and HOME. */
  environment: Environment;
  /** False returns as soon as the process runs, for tests of the start itself. */
  waitForReady?: boolean;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let started = 0;

/** Starts `services/<name>/main.ts`; rejects with the end of its log when it does not get ready. */
export async function startServiceProcess(name: ServiceName, options: ServiceProcessOptions): Promise<ServiceProcess> {
  const { runFolder } = testEndpoints();
  const logFile = join(runFolder, 'log', `${name}-${process.pid}-${(started += 1)}.log`);
  const { PATH, HOME } = process.env;
  const service = await startService({
    name,
    root,
    logFile,
    environment: { PATH, HOME, ...options.environment },
    onSpawn: (spawned) => recordProcess(runFolder, spawned),
    ...(options.waitForReady === undefined ? {} : { waitForReady: options.waitForReady }),
  });
  return {
    name,
    port: service.port,
    pid: service.pid,
    exited: service.process.exited,
    isReady: service.isReady,
    log: () => readFileSync(logFile, 'utf8'),
    signal: (signal) => signalProcess(service.process, signal),
    stop: service.stop,
    [Symbol.asyncDispose]: service.stop,
  };
}
