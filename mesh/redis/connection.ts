// One connection to Redis with the habits of this house: it never queues while Redis is away, every command has a
// deadline, nothing is sent twice without the caller's word, and it reconnects by itself with back-off.
import type { Logger } from '#mesh/telemetry';
import { Redis, type RedisOptions } from 'ioredis';
import { createHash } from 'node:crypto';
import { RedisRefused, readRedisError, type RedisAway } from './errors.ts';

export type RedisArgument = string | number;
/** The command's name and its arguments. */
export type RedisCommand = readonly [string, ...RedisArgument[]];

export type PipelineReply =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: RedisAway | RedisRefused };

export interface RedisScript {
  readonly text: string;
  readonly sha1: string;
}

/** Every call rejects with RedisAway or RedisRefused and nothing else. */
export interface RedisConnection extends AsyncDisposable {
  readonly name: string;
  /** The name of a key under this connection's prefix; callers pass every key through it. */
  key(name: string): string;
  /** True while commands are accepted. */
  isUp(): boolean;
  call(...command: RedisCommand): Promise<unknown>;
  /** All commands in one write, replies in order. Never rejects: an absent Redis is an error in every reply. */
  pipeline(commands: readonly RedisCommand[]): Promise<readonly PipelineReply[]>;
  /** Runs a Lua script by its digest, sending the text only when Redis does not know it. */
  script(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown>;
  ping(): Promise<void>;
  /** Called each time the connection becomes usable, and at once when it is. Returns the way to stop. */
  onUp(listener: () => void): () => void;
  /** Resolves when commands are accepted, or when the signal is aborted. */
  untilUp(signal: AbortSignal): Promise<void>;
  /** A second connection to the same server, for calls that block. */
  duplicate(name: string, commandTimeoutMs?: number): RedisConnection;
}

export interface RedisConnectionOptions {
  /** redis:// or rediss://. */
  readonly url: string;
  readonly password?: string | undefined;
  /** Wins over the one in the URL. */
  readonly db?: number | undefined;
  /** Shown in CLIENT LIST. */
  readonly name: string;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  /** Put before every key; tests share one server through it. */
  readonly keyPrefix?: string | undefined;
  readonly commandTimeoutMs?: number | undefined;
  /** From 0 up to 1, for jitter. */
  readonly random?: (() => number) | undefined;
}

// A local Redis answers in well under a millisecond; a caller that waits longer than this is better served by a refusal.
const COMMAND_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
// A socket on which commands wait and nothing comes back for so long is dead (a partition sends no reset).
const DEAD_SOCKET_EXTRA_MS = 4_000;
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;

export function defineScript(text: string): RedisScript {
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}

// Doubles up to the longest wait; half of it is random so that replicas do not return in step.
function retryAfterMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10));
  return Math.ceil(ceiling * (0.5 + random() / 2));
}

function driverOptions(options: RedisConnectionOptions): Omit<RedisOptions, 'replyMapping'> {
  const { db, password, name, random = Math.random } = options;
  const commandTimeout = options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
  return {
    ...(db === undefined ? {} : { db }),
    ...(password === undefined || password === '' ? {} : { password }),
    connectionName: name,
    protocol: 2,
    commandTimeout,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: commandTimeout + DEAD_SOCKET_EXTRA_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    retryStrategy: (attempt) => retryAfterMs(attempt, random),
    // A fail-over leaves us connected to a replica; it must be left to find the new primary.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

class Connection implements RedisConnection {
  readonly name: string;
  readonly #options: RedisConnectionOptions;
  readonly #driver: Redis;
  readonly #prefix: string;
  readonly #upListeners = new Set<() => void>();
  #wasUp = true;

  constructor(options: RedisConnectionOptions) {
    this.name = options.name;
    this.#options = options;
    this.#prefix = options.keyPrefix ?? '';
    this.#driver = new Redis(options.url, driverOptions(options));
    this.#driver.on('ready', () => this.#becameUp());
    this.#driver.on('close', () => this.#becameDown());
    // Commands carry their own errors; without a listener the driver would write to the terminal.
    this.#driver.on('error', (error: Error) => this.#becameDown(error));
  }

  #becameUp(): void {
    this.#wasUp = true;
    this.#options.logger.info({ connection: this.name }, 'redis connected');
    for (const listener of this.#upListeners) listener();
  }

  // Said once per outage, not once per attempt.
  #becameDown(error?: Error): void {
    if (!this.#wasUp || this.isUp()) return;
    this.#wasUp = false;
    this.#options.logger.warn({ connection: this.name, error: error?.message }, 'redis away');
  }

  key(name: string): string {
    return this.#prefix + name;
  }

  isUp(): boolean {
    return this.#driver.status === 'ready';
  }

  async call(...command: RedisCommand): Promise<unknown> {
    const [name, ...args] = command;
    try {
      return await this.#driver.call(name, ...args);
    } catch (error) {
      throw readRedisError(error);
    }
  }

  async pipeline(commands: readonly RedisCommand[]): Promise<readonly PipelineReply[]> {
    if (commands.length === 0) return [];
    try {
      const replies = await this.#driver
        .pipeline(commands.map(([name, ...args]) => [name.toLowerCase(), ...args]))
        .exec();
      return commands.map((_command, index) => readReply(replies?.[index]));
    } catch (error) {
      const reply: PipelineReply = { ok: false, error: readRedisError(error) };
      return commands.map(() => reply);
    }
  }

  async script(script: RedisScript, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    try {
      return await this.call('EVALSHA', script.sha1, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof RedisRefused) || error.code !== 'NOSCRIPT') throw error;
      return await this.call('EVAL', script.text, keys.length, ...keys, ...args);
    }
  }

  async ping(): Promise<void> {
    await this.call('PING');
  }

  onUp(listener: () => void): () => void {
    this.#upListeners.add(listener);
    if (this.isUp()) listener();
    return () => this.#upListeners.delete(listener);
  }

  untilUp(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        unsubscribe();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      let unsubscribe = (): void => undefined;
      if (signal.aborted || this.isUp()) return resolve();
      signal.addEventListener('abort', finish, { once: true });
      unsubscribe = this.onUp(finish);
    });
  }

  duplicate(name: string, commandTimeoutMs?: number): RedisConnection {
    return new Connection({ ...this.#options, name, ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#upListeners.clear();
    this.#wasUp = false;
    // Between two attempts there is no socket whose end the driver would report.
    const hasSocket = ['connecting', 'connect', 'ready'].includes(this.#driver.status);
    const ended = new Promise<void>((resolve) => {
      this.#driver.once('end', resolve);
    });
    this.#driver.disconnect();
    if (hasSocket) await ended;
  }
}

function readReply(reply: readonly [Error | null, unknown] | undefined): PipelineReply {
  if (reply === undefined) return { ok: false, error: readRedisError(undefined) };
  const [error, value] = reply;
  return error === null ? { ok: true, value } : { ok: false, error: readRedisError(error) };
}

/** Connects in the background; until it has, every command is refused at once. */
export function createRedis(options: RedisConnectionOptions): RedisConnection {
  return new Connection(options);
}
