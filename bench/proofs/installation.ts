// A whole installation of a proof: stores, OPA and services as processes of its own, every one of which can be ended and
// brought back. It stands alone because tests and the proof command start the very same one.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { services as allServices } from '#mesh/topology';
import type { ServiceName } from '#mesh/topology';
import { stopProcess } from '../../dev/components/child-process.ts';
import type { Environment, OnSpawn, StartedProcess, StopStep } from '../../dev/components/child-process.ts';
import { findOpa } from '../../dev/components/opa-binary.ts';
import { startOpa } from '../../dev/components/opa.ts';
import { findFreePorts } from '../../dev/components/ports.ts';
import { startPostgres } from '../../dev/components/postgres.ts';
import { startRedis } from '../../dev/components/redis.ts';
import { startService } from '../../dev/components/service.ts';
import { loginUrls, perService, prepareDatabase, withDatabase } from '../../dev/database.ts';
import { publicUrl, replicaEnvironment, serviceEnvironment } from '../../dev/environment.ts';
import type { Stack } from '../../dev/environment.ts';
import { keepCheckpointKey, makeSecrets } from '../../dev/secrets.ts';
import { keepTlsFiles } from '../../dev/tls-files.ts';
import { startPart, type Part } from './part.ts';

/** `gateway-2` is a service's second replica. */
export type PartName = ServiceName | `${ServiceName}-${number}` | 'postgres' | 'redis' | 'opa';

export interface Place {
  /** Everything of the installation is below it; removing it is the caller's. */
  readonly folder: string;
  /** Where its processes write their logs. */
  readonly logFolder: string;
  /** What the installation inherits of the surroundings. */
  readonly environment: Environment;
  /** Told of every process, so that whoever clears up after an interrupted run knows them. */
  readonly onSpawn?: OnSpawn;
}

export interface ProofInstallationOptions extends Place {
  /** Started in this order; all that exist when absent. */
  readonly services?: readonly ServiceName[];
  /** Laid over the environment of every service, and then of the named ones. */
  readonly settings?: Environment;
  readonly overrides?: Partial<Record<ServiceName, Environment>>;
  /** How many of a service there are; one when absent. A further Gateway asks the STS of its own number where there is one. */
  readonly replicas?: Partial<Record<ServiceName, number>>;
}

export interface ProofInstallation extends AsyncDisposable {
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly stack: Stack;
  readonly tlsFolder: string;
  readonly upstreamPort: number;
  readonly services: readonly ServiceName[];
  part(name: PartName): Part;
  /** Where each replica of a service answers, the first one first. */
  replicaUrls(name: ServiceName): readonly string[];
  /** What a service's replicas are told beside their environment from their next start on. */
  reconfigure(name: ServiceName, settings: Environment): void;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const databaseName = 'caracal';
/** What is thrown away gets no time to end in order. */
const endSteps: readonly StopStep[] = [];

export async function startProofInstallation(options: ProofInstallationOptions): Promise<ProofInstallation> {
  const spawned: StartedProcess[] = [];
  const onSpawn: OnSpawn = (started, steps) => {
    spawned.push(started);
    options.onSpawn?.(started, steps);
  };
  const endAll = async (): Promise<void> => {
    await Promise.all(spawned.map((process) => stopProcess(process, endSteps)));
  };
  try {
    const parts = new Map<PartName, Part>();
    const stack = await startStores({ options, onSpawn, parts });
    const services = options.services ?? allServices;
    const starting = { options, onSpawn, stack, parts, later: new Map<ServiceName, Environment>() };
    const replicaPorts = await startServices(services, starting);
    return {
      urls: perService((name) => publicUrl(stack.addresses.ports[name])),
      stack,
      tlsFolder: stack.files.tlsFolder,
      upstreamPort: stack.addresses.upstreamPort,
      services,
      part: (name) => {
        const found = parts.get(name);
        if (found === undefined) throw new Error(`${name} was not started`);
        return found;
      },
      replicaUrls: (name) => [stack.addresses.ports[name], ...(replicaPorts.get(name) ?? [])].map(publicUrl),
      reconfigure: (name, settings) => void starting.later.set(name, { ...starting.later.get(name), ...settings }),
      [Symbol.asyncDispose]: endAll,
    };
  } catch (error) {
    await endAll();
    throw error;
  }
}

interface Starting {
  readonly options: ProofInstallationOptions;
  readonly onSpawn: OnSpawn;
}

async function startStores({ options, onSpawn, parts }: Starting & { parts: Map<PartName, Part> }): Promise<Stack> {
  const { folder, logFolder, environment } = options;
  const secrets = { ...makeSecrets(), loginPassword: randomBytes(16).toString('hex') };
  const [upstreamPort = 0, postgresPort = 0, redisPort = 0, opaPort = 0, ...servicePorts] = await findFreePorts(
    4 + allServices.length,
  );
  const place = (name: string) => ({
    dataDirectory: join(folder, name),
    logFile: logFileOf(logFolder, name),
    environment,
  });
  const make = async (name: PartName, launch: Parameters<typeof startPart>[0]['launch']): Promise<void> => {
    parts.set(name, await startPart({ name, logFile: logFileOf(logFolder, name), onSpawn, launch }));
  };
  const postgres = { ...place('postgres'), superuserPassword: secrets.postgresPassword, port: postgresPort };
  const redis = { ...place('redis'), password: secrets.redisPassword, port: redisPort };
  const opa = { ...place('opa'), token: secrets.opaToken, port: opaPort };
  await Promise.all([
    make('postgres', async (told) => startPostgres({ ...postgres, onSpawn: told })),
    make('redis', async (told) => startRedis({ ...redis, onSpawn: told })),
    make('opa', async (told) => startOpa({ ...opa, onSpawn: told })),
  ]);
  const administratorUrl = withDatabase(
    `postgres://postgres:${secrets.postgresPassword}@127.0.0.1:${postgresPort}/`,
    databaseName,
  );
  await prepareDatabase({ administratorUrl, loginPassword: secrets.loginPassword, root });
  const files = {
    tlsFolder: join(folder, 'tls'),
    journalFolder: join(folder, 'journal'),
    checkpointKeyFile: join(folder, 'keys', 'checkpoint.pem'),
  };
  await keepTlsFiles(files.tlsFolder);
  keepCheckpointKey(files.checkpointKeyFile);
  const portOf = new Map(allServices.map((name, index) => [name, servicePorts[index] ?? 0]));
  return {
    secrets,
    addresses: {
      ports: perService((name) => portOf.get(name) ?? 0),
      databaseUrls: loginUrls(administratorUrl, secrets.loginPassword),
      redisUrl: `redis://:${secrets.redisPassword}@127.0.0.1:${redisPort}`,
      opaUrl: `http://127.0.0.1:${opaPort}`,
      opaToken: secrets.opaToken,
      opaBinary: await findOpa({ environment }),
      upstreamPort,
    },
    files,
    inherited: { PATH: environment['PATH'], HOME: environment['HOME'] },
  };
}

interface StartingServices extends Starting {
  readonly stack: Stack;
  readonly parts: Map<PartName, Part>;
  /** Settings that came after the first start. */
  readonly later: ReadonlyMap<ServiceName, Environment>;
}

/** Every service with its replicas, one after another; the ports of the replicas beside the first. */
async function startServices(
  services: readonly ServiceName[],
  starting: StartingServices,
): Promise<ReadonlyMap<ServiceName, readonly number[]>> {
  const { options, stack, parts } = starting;
  const further = new Map<ServiceName, readonly number[]>();
  for (const name of services) {
    parts.set(
      name,
      await startServicePart({ name, part: name, environment: serviceEnvironment(name, stack) }, starting),
    );
    const ports = await findFreePorts((options.replicas?.[name] ?? 1) - 1);
    further.set(name, ports);
    for (const [at, port] of ports.entries()) {
      const stsPort = further.get('sts')?.[at];
      const replica = { number: at + 2, port, ...(stsPort === undefined ? {} : { stsPort }) };
      const part: PartName = `${name}-${at + 2}`;
      const environment = replicaEnvironment(name, stack, replica);
      parts.set(part, await startServicePart({ name, part, environment }, starting));
    }
  }
  return further;
}

function startServicePart(
  { name, part, environment: own }: { name: ServiceName; part: PartName; environment: Environment },
  { options, onSpawn, later }: StartingServices,
): Promise<Part> {
  const first = { ...own, ...options.settings, ...options.overrides?.[name] };
  const journal = first['AUDIT_REPLAY_DIR'];
  if (journal !== undefined) mkdirSync(journal, { recursive: true, mode: 0o700 });
  const logFile = logFileOf(options.logFolder, part);
  const launch = async (told: OnSpawn) =>
    startService({ name, root, environment: { ...first, ...later.get(name) }, logFile, onSpawn: told });
  return startPart({ name: part, logFile, onSpawn, launch });
}

function logFileOf(logFolder: string, name: string): string {
  return join(logFolder, `${name}.log`);
}
