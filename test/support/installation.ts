/** A whole installation for one test: own database, own Redis, throw-away CA, and the services as processes. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { services as allServices } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';
import type { Environment } from '../../dev/components/child-process.ts';
import { findFreePorts } from '../../dev/components/ports.ts';
import type { RunningRedis } from '../../dev/components/redis.ts';
import { publicUrl, replicaEnvironment, serviceEnvironment } from '../../dev/environment.ts';
import type { Stack } from '../../dev/environment.ts';
import { perService } from '../../dev/database.ts';
import { keepCheckpointKey, makeSecrets } from '../../dev/secrets.ts';
import { keepTlsFiles } from '../../dev/tls-files.ts';
import { disposableDatabase } from './database.ts';
import type { DisposableDatabase } from './database.ts';
import { privateRedis } from './private-components.ts';
import type { Restartable } from './private-components.ts';
import { startServiceProcess } from './processes.ts';
import type { ServiceProcess } from './processes.ts';
import { testEndpoints, testOpa } from './stack.ts';

export interface InstallationOptions {
  /** All five when absent; started in topology's order. */
  services?: readonly ServiceName[];
  /** Laid over the derived environment of each named service. */
  overrides?: Partial<Record<ServiceName, Environment>>;
}

export interface Installation extends AsyncDisposable {
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly adminToken: string;
  /** `ca.pem`, and `<service>.pem` and `operator.pem` with their `-key.pem`. */
  readonly tlsFolder: string;
  readonly database: DisposableDatabase;
  readonly redis: Restartable<RunningRedis>;
  /** A loopback port that the Gateway may reach as an upstream; nothing listens on it yet. */
  readonly upstreamPort: number;
  readonly stack: Stack;
  /** The running process of a service of this installation. */
  process(name: ServiceName): ServiceProcess;
  /** Starts a service, or starts it again after it was stopped or killed, on its port with its environment. */
  start(name: ServiceName, overrides?: Environment): Promise<ServiceProcess>;
  /** Starts one more replica of a service on a free port, beside the first and on the same stores. */
  startReplica(name: ServiceName, options?: ReplicaOptions): Promise<RunningReplica>;
}

export interface ReplicaOptions {
  /** The STS that it asks; the first one when absent. */
  sts?: Pick<ServiceProcess, 'port'>;
  overrides?: Environment;
}

export interface RunningReplica {
  readonly process: ServiceProcess;
  readonly url: string;
}

/** A loaded machine is no slow policy: what tests say of the time limit they set themselves. */
const patience: Partial<Record<ServiceName, Environment>> = { sts: { OPA_TIMEOUT_MS: '5000' } };

/** Starts the installation; when a service does not get ready, stops what runs and rejects with the end of its log. */
export async function startInstallation(options: InstallationOptions = {}): Promise<Installation> {
  const parts = new AsyncDisposableStack();
  try {
    const database = parts.use(await disposableDatabase());
    const redis = parts.use(await privateRedis());
    const stack = await describeStack(database, redis.running().url);
    const processes = new Map<ServiceName, ServiceProcess>();
    const start = async (name: ServiceName, overrides: Environment = {}): Promise<ServiceProcess> => {
      const derived = serviceEnvironment(name, stack);
      const environment = { ...derived, ...patience[name], ...options.overrides?.[name], ...overrides };
      const started = parts.use(await startServiceProcess(name, { environment }));
      processes.set(name, started);
      return started;
    };
    let replicas = 1;
    const startReplica = async (name: ServiceName, { sts, overrides = {} }: ReplicaOptions = {}) => {
      const [port = 0] = await findFreePorts(1);
      replicas += 1;
      const derived = replicaEnvironment(name, stack, {
        number: replicas,
        port,
        ...(sts ? { stsPort: sts.port } : {}),
      });
      const environment = { ...derived, ...patience[name], ...options.overrides?.[name], ...overrides };
      const process = parts.use(await startServiceProcess(name, { environment }));
      return { process, url: publicUrl(port) };
    };
    for (const name of options.services ?? allServices) await start(name);
    return {
      urls: perService((name) => publicUrl(stack.addresses.ports[name])),
      adminToken: stack.secrets.adminToken,
      tlsFolder: stack.files.tlsFolder,
      database,
      redis,
      upstreamPort: stack.addresses.upstreamPort,
      stack,
      start,
      startReplica,
      process: (name) => {
        const found = processes.get(name);
        if (found === undefined) throw new Error(`the ${name} service was not started`);
        return found;
      },
      [Symbol.asyncDispose]: () => parts.disposeAsync(),
    };
  } catch (error) {
    await parts.disposeAsync();
    throw error;
  }
}

async function describeStack(database: DisposableDatabase, redisUrl: string): Promise<Stack> {
  const folder = mkdtempSync(join(testEndpoints().runFolder, 'installation-'));
  const files = {
    tlsFolder: join(folder, 'tls'),
    journalFolder: join(folder, 'journal'),
    checkpointKeyFile: join(folder, 'keys', 'checkpoint.pem'),
  };
  await keepTlsFiles(files.tlsFolder);
  keepCheckpointKey(files.checkpointKeyFile);
  const [upstreamPort = 0, ...servicePorts] = await findFreePorts(1 + allServices.length);
  const portOf = new Map(allServices.map((name, index) => [name, servicePorts[index] ?? 0]));
  const opa = testOpa();
  return {
    secrets: makeSecrets(),
    addresses: {
      ports: perService((name) => portOf.get(name) ?? 0),
      databaseUrls: database.urls,
      redisUrl,
      opaUrl: opa.url,
      opaToken: opa.token,
      opaBinary: opa.binary,
      upstreamPort,
    },
    files,
    inherited: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
  };
}
