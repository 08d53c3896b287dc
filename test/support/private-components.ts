/** Components of one test alone, for tests that stop, kill or fill them, or whose processes cannot choose a database. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { OnSpawn } from '../../dev/components/child-process.ts';
import { startOpa } from '../../dev/components/opa.ts';
import type { RunningOpa } from '../../dev/components/opa.ts';
import { startPostgres } from '../../dev/components/postgres.ts';
import type { RunningPostgres } from '../../dev/components/postgres.ts';
import { startRedis } from '../../dev/components/redis.ts';
import type { RunningRedis } from '../../dev/components/redis.ts';
import { recordProcess } from '../../dev/test/run-folder.ts';
import { testEndpoints } from './stack.ts';

/** What a component needs to come back as the same one: the same port, the same data. */
export interface Restartable<Running> extends AsyncDisposable {
  /** The process as started last. */
  running(): Running;
  /** Starts it again on the same port with the same data, after it was stopped or killed. */
  restart(): Promise<Running>;
}

interface Place {
  dataDirectory: string;
  logFile: string;
  environment: NodeJS.ProcessEnv;
  onSpawn: OnSpawn;
}

function newPlace(kind: string): Place {
  const { runFolder } = testEndpoints();
  const folder = mkdtempSync(join(runFolder, `${kind}-`));
  return {
    dataDirectory: join(folder, 'data'),
    logFile: join(runFolder, 'log', `${folder.slice(runFolder.length + 1)}.log`),
    environment: process.env,
    onSpawn: (started) => recordProcess(runFolder, started),
  };
}

interface Component {
  readonly port: number;
  stop(): Promise<void>;
}

async function restartable<Running extends Component>(
  start: (port?: number) => Promise<Running>,
): Promise<Restartable<Running>> {
  let current = await start();
  return {
    running: () => current,
    restart: async () => {
      current = await start(current.port);
      return current;
    },
    [Symbol.asyncDispose]: () => current.stop(),
  };
}

/** Durable, so that what was committed survives a kill. */
export function privatePostgres(): Promise<Restartable<RunningPostgres>> {
  const options = { ...newPlace('postgres'), superuserPassword: randomBytes(16).toString('hex') };
  return restartable((port) => startPostgres({ ...options, ...(port === undefined ? {} : { port }) }));
}

/** Appends to a file every second; `durable: false` loses everything with the process. */
export function privateRedis(settings: { durable?: boolean } = {}): Promise<Restartable<RunningRedis>> {
  const options = {
    ...newPlace('redis'),
    password: randomBytes(16).toString('hex'),
    durable: settings.durable ?? true,
  };
  return restartable((port) => startRedis({ ...options, ...(port === undefined ? {} : { port }) }));
}

/** Forgets every policy when restarted, as OPA does. */
export function privateOpa(): Promise<Restartable<RunningOpa>> {
  const options = { ...newPlace('opa'), token: randomBytes(16).toString('hex') };
  return restartable((port) => startOpa({ ...options, ...(port === undefined ? {} : { port }) }));
}
