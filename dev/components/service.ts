/** Starts one of the five services as a process and knows when it is ready. */
import { existsSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess, stopProcess, waitUntilHealthy } from './child-process.ts';
import type { Environment, OnSpawn, StartedProcess, StopStep } from './child-process.ts';

export interface ServiceOptions {
  name: string;
  /** Of the repository: the service is `services/<name>/main.ts`. */
  root: string;
  /** Complete: nothing is added. PORT, LISTEN_HOST, TLS_CERT_FILE and MESH_CA_FILE say where and how to ask for readiness. */
  environment: Environment;
  logFile: string;
  /** False returns as soon as the process runs. */
  waitForReady?: boolean;
  readyLimitMilliseconds?: number;
  onSpawn?: OnSpawn;
}

export interface RunningService {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly process: StartedProcess;
  isReady(): Promise<boolean>;
  stop(): Promise<void>;
}

/** Far above the ten seconds of the budget: a loaded machine is slow, and a service that waits for a store says so. */
const readyLimitMilliseconds = 60_000;
const answerLimitMilliseconds = 3_000;

/**
 * Half of V8's young generation. Under load a call's objects are dead within milliseconds; in twice V8's own 16 MiB twice as
 * many are dead when it collects, and collecting takes half the time. An idle process never fills it.
 */
const youngMebibytes = 32;

/** SIGTERM begins the drain; a service ends itself within its own grace period. */
const serviceStop: readonly StopStep[] = [{ signal: 'SIGTERM', graceMilliseconds: 40_000 }];

/** The file that a service's process runs. */
function serviceMain(root: string, name: string): string {
  return join(root, 'services', name, 'main.ts');
}

export function serviceExists(root: string, name: string): boolean {
  return existsSync(serviceMain(root, name));
}

/** Rejects with the end of the log when the process ends first or does not get ready. */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const { name, environment, logFile, root } = options;
  const port = Number(environment['PORT']);
  const args = [`--max-semi-space-size=${youngMebibytes}`, serviceMain(root, name)];
  const started = await startProcess({ command: process.execPath, args, environment, logFile, workingDirectory: root });
  options.onSpawn?.(started, serviceStop);
  const isReady = (): Promise<boolean> => asksReady(environment, port);
  const stop = async (): Promise<void> => {
    await stopProcess(started, serviceStop);
  };
  if (options.waitForReady !== false) {
    try {
      const limitMilliseconds = options.readyLimitMilliseconds ?? readyLimitMilliseconds;
      await waitUntilHealthy({
        what: `the ${name} service`,
        process: started,
        logFile,
        limitMilliseconds,
        probe: isReady,
      });
    } catch (error) {
      await stop();
      throw error;
    }
  }
  return { name, port, pid: started.pid, process: started, isReady, stop };
}

/** One request to `/ready`, over TLS when the service has a certificate. */
async function asksReady(environment: Environment, port: number): Promise<boolean> {
  const address = { host: environment['LISTEN_HOST'] ?? '127.0.0.1', port, path: '/ready', agent: false };
  const authority = environment['MESH_CA_FILE'];
  if (environment['TLS_CERT_FILE'] === undefined || authority === undefined) {
    return await answersOk((done) => httpRequest(address, done));
  }
  const ca = await readFile(authority);
  return await answersOk((done) => httpsRequest({ ...address, ca }, done));
}

type Send = (done: (response: IncomingMessage) => void) => ClientRequest;

function answersOk(send: Send): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const request = send((response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.setTimeout(answerLimitMilliseconds, () => request.destroy(new Error('no answer')));
    request.once('error', reject);
    request.end();
  });
}
