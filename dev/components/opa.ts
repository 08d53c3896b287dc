/** Starts an OPA server on loopback that answers only to the bearer of its token. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess, stopProcess, waitUntilHealthy } from './child-process.ts';
import type { Environment, OnSpawn, StartedProcess, StopStep } from './child-process.ts';
import { findOpa } from './opa-binary.ts';
import { findFreePort } from './ports.ts';

export interface OpaOptions {
  dataDirectory: string;
  logFile: string;
  token: string;
  environment: Environment;
  /** A free one when absent. */
  port?: number;
  /** Told of the process as soon as there is one, long before it answers. */
  onSpawn?: OnSpawn;
  /** Told about steps that take long. */
  say?: (message: string) => void;
  /** Gives up getting the binary when it is aborted. */
  signal?: AbortSignal;
}

export interface RunningOpa {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  readonly process: StartedProcess;
  stop(): Promise<void>;
}

const opaHost = '127.0.0.1';
const startLimitMilliseconds = 30_000;
const answerLimitMilliseconds = 1_000;
/** The largest body that OPA reads: a policy module or a decision input, both bounded far below by the STS. */
const bodyLimitBytes = 8 * 1024 * 1024;
const inflatedBodyLimitBytes = 8 * 1024 * 1024;

/**
 * Go collects when its heap has grown by so many percent. A question leaves far more behind than OPA keeps (some 20 MiB), so
 * that at Go's own 100 collecting is a quarter of what answering costs.
 */
const collectorPercent = '400';

const opaStop: readonly StopStep[] = [{ signal: 'SIGTERM', graceMilliseconds: 8_000 }];

/** Rejects with what is missing, or with the end of the log when the server does not come up. */
export async function startOpa(options: OpaOptions): Promise<RunningOpa> {
  const { environment, logFile, token } = options;
  const command = await findOpa({
    environment,
    signal: options.signal,
    ...(options.say === undefined ? {} : { say: options.say }),
  });
  const port = options.port ?? (await findFreePort());
  const { policyFile, configurationFile } = writeFiles(options);
  const args = [
    'run',
    '--server',
    `--addr=${opaHost}:${port}`,
    '--authentication=token',
    '--authorization=basic',
    '--log-level=error',
    '--skip-version-check',
    '--shutdown-grace-period=5',
    `--config-file=${configurationFile}`,
    policyFile,
  ];
  const collected = { GOGC: collectorPercent, ...environment };
  const started = await startProcess({ command, args, environment: collected, logFile, workingDirectory: '/' });
  options.onSpawn?.(started, opaStop);
  const stop = async (): Promise<void> => {
    await stopProcess(started, opaStop);
  };
  const url = `http://${opaHost}:${port}`;
  try {
    const probe = (): Promise<boolean> => isHealthy(url, token);
    const limitMilliseconds = startLimitMilliseconds;
    await waitUntilHealthy({ what: 'OPA', process: started, logFile, limitMilliseconds, probe });
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: opaHost, port, url, token, pid: started.pid, process: started, stop };
}

async function isHealthy(url: string, token: string): Promise<boolean> {
  const response = await fetch(`${url}/health`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(answerLimitMilliseconds),
  });
  await response.body?.cancel();
  return response.ok;
}

/**
 * The policy knows the token's digest only, because OPA shows its policies to whoever may read them, and comparing
 * digests tells nothing by its time.
 */
function writeFiles(options: OpaOptions): { policyFile: string; configurationFile: string } {
  mkdirSync(options.dataDirectory, { recursive: true, mode: 0o700 });
  const policyFile = join(options.dataDirectory, 'authorization.rego');
  const configurationFile = join(options.dataDirectory, 'configuration.json');
  const digest = createHash('sha256').update(options.token).digest('hex');
  const policy = [
    'package system.authz',
    '',
    'default allow := false',
    '',
    `allow if crypto.sha256(input.identity) == "${digest}"`,
    '',
  ].join('\n');
  const configuration = {
    server: { decoding: { max_length: bodyLimitBytes, gzip: { max_length: inflatedBodyLimitBytes } } },
  };
  writeFileSync(policyFile, policy, { mode: 0o600 });
  writeFileSync(configurationFile, JSON.stringify(configuration), { mode: 0o600 });
  return { policyFile, configurationFile };
}
