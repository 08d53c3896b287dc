// Notices that Redis forgot: restarted, flushed, or failed over to a copy that lacks the last writes. Marks of single use
// and evidence in streams are worth as much as the memory they stand in.
import type { Logger } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import { defineScript, type RedisConnection } from './connection.ts';
import { readServerFacts, type ServerFacts } from './server-facts.ts';

export interface RedisMemory {
  /** Changes whenever what was written before may be gone. */
  readonly id: string;
  /** Nothing issued before this moment (epoch milliseconds) can be shown not to have been used. */
  readonly sinceMs: number;
}

export interface MemoryWatch extends AsyncDisposable {
  start(): void;
  /** What Redis remembers, as confirmed since the connection was last made; undefined while nobody can say. */
  current(): RedisMemory | undefined;
  /** The last facts read; undefined before the first answer. */
  facts(): ServerFacts | undefined;
  /** Someone saw another memory than the confirmed one: current() is undefined until Redis was asked again. */
  doubt(): void;
  /** Called once per loss, after the new memory is confirmed. Not called for the first memory a process sees. */
  onLoss(listener: (memory: RedisMemory) => void): () => void;
}

export interface MemoryWatchOptions {
  readonly redis: RedisConnection;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly logger: Pick<Logger, 'warn'>;
  readonly intervalMs?: number;
}

// A fail-over behind an address that stays is noticed within this.
const INTERVAL_MS = 1_000;

// KEYS: the incarnation. ARGV: the server's run id, now, a fresh id. The first process to see another run of the server,
// or an empty one, writes a new incarnation; all others read it.
const CONFIRM = defineScript(`
local id, since, run = unpack(redis.call('HMGET', KEYS[1], 'id', 'since_ms', 'run_id'))
if id and since and run == ARGV[1] then return {id, since} end
redis.call('HSET', KEYS[1], 'id', ARGV[3], 'since_ms', ARGV[2], 'run_id', ARGV[1])
return {ARGV[3], ARGV[2]}
`);

class Watch implements MemoryWatch {
  readonly #options: MemoryWatchOptions;
  readonly #listeners = new Set<(memory: RedisMemory) => void>();
  readonly #stop = new AbortController();
  #facts: ServerFacts | undefined;
  #confirmed: RedisMemory | undefined;
  #lastId: string | undefined;
  #asking: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: MemoryWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe ??= this.#options.redis.onUp(() => {
      this.doubt();
    });
    this.#running ??= this.#run();
  }

  current(): RedisMemory | undefined {
    return this.#options.redis.isUp() ? this.#confirmed : undefined;
  }

  facts(): ServerFacts | undefined {
    return this.#facts;
  }

  doubt(): void {
    this.#confirmed = undefined;
    void this.#ask();
  }

  onLoss(listener: (memory: RedisMemory) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #run(): Promise<void> {
    const { clock, intervalMs = INTERVAL_MS } = this.#options;
    while (!this.#stop.signal.aborted) {
      await this.#ask();
      await clock.sleep(intervalMs, this.#stop.signal).catch(() => undefined);
    }
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#confirm()
      .catch(() => {
        this.#confirmed = undefined;
      })
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  async #confirm(): Promise<void> {
    const { redis, clock, newId, logger } = this.#options;
    const facts = await readServerFacts(redis);
    const args = [facts.runId, Math.ceil(clock.now()), newId()];
    const reply = await redis.script(CONFIRM, [redis.key('caracal:incarnation')], args);
    const [id, since] = Array.isArray(reply) ? reply.map(String) : [];
    if (id === undefined || since === undefined || this.#stop.signal.aborted) return;
    const memory: RedisMemory = { id, sinceMs: Number(since) };
    const isLoss = this.#lastId !== undefined && this.#lastId !== id;
    this.#facts = facts;
    this.#lastId = id;
    this.#confirmed = memory;
    if (!isLoss) return;
    logger.warn({ connection: redis.name, incarnation: id }, 'redis lost its memory');
    for (const listener of this.#listeners) listener(memory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#unsubscribe?.();
    this.#listeners.clear();
    await this.#running;
    await this.#asking;
  }
}

export function createMemoryWatch(options: MemoryWatchOptions): MemoryWatch {
  return new Watch(options);
}
