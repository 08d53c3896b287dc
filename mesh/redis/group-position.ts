// Where one member of a consumer group stands: what is its own and unfinished, what is new, what others left behind, and
// what everybody has finished.
import type { StreamName } from '#mesh/topology';
import type { RedisConnection } from './connection.ts';
import { FIRST_ID, readEntries, readStreamLists, type StreamEntry } from './stream-entry.ts';

export interface GroupEntry extends StreamEntry {
  /** How often Redis has handed it out, this time included. */
  readonly deliveries: number;
}

export interface GroupPositionOptions {
  readonly redis: RedisConnection;
  readonly stream: StreamName;
  readonly group: string;
  readonly consumer: string;
  readonly batchSize: number;
  readonly blockMs: number;
}

export class GroupPosition {
  readonly #options: GroupPositionOptions;
  readonly #key: string;
  // While there may be unfinished entries of our own: the id behind which they are read. New ones come after the last.
  #ownAfter: string | undefined = FIRST_ID;
  #isInterrupted = false;

  constructor(options: GroupPositionOptions) {
    this.#options = options;
    this.#key = options.redis.key(options.stream);
  }

  /** The next turn begins with what this member has taken and not acknowledged. */
  reread(): void {
    this.#ownAfter = FIRST_ID;
  }

  /** The next batch: own unfinished entries first, then new ones, waiting for them up to the block time. */
  async next(): Promise<readonly GroupEntry[]> {
    if (this.#isInterrupted) return [];
    if (this.#ownAfter !== undefined) {
      const own = await this.#read(this.#ownAfter);
      this.#ownAfter = own.at(-1)?.id;
      if (own.length > 0) return await this.#withDeliveries(own);
    }
    return (await this.#read('>')).map((entry) => ({ ...entry, deliveries: 1 }));
  }

  async #read(from: string): Promise<readonly StreamEntry[]> {
    const { redis, stream, group, consumer, batchSize, blockMs } = this.#options;
    const block = from === '>' ? ['BLOCK', blockMs] : [];
    const reply = await redis.call(
      'XREADGROUP',
      'GROUP',
      group,
      consumer,
      'COUNT',
      batchSize,
      ...block,
      'STREAMS',
      this.#key,
      from,
    );
    return readEntries(stream, readStreamLists(reply).get(this.#key));
  }

  /** Takes over entries that their member has not acknowledged for so long. */
  async claim(idleMs: number): Promise<readonly GroupEntry[]> {
    const { redis, stream, group, consumer, batchSize } = this.#options;
    const reply = await redis.call('XAUTOCLAIM', this.#key, group, consumer, idleMs, FIRST_ID, 'COUNT', batchSize);
    return await this.#withDeliveries(readEntries(stream, Array.isArray(reply) ? reply[1] : undefined));
  }

  async #withDeliveries(entries: readonly StreamEntry[]): Promise<readonly GroupEntry[]> {
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return [];
    const { redis, group, consumer } = this.#options;
    const reply = await redis.call('XPENDING', this.#key, group, first.id, last.id, entries.length, consumer);
    const counts = new Map<string, number>();
    for (const row of Array.isArray(reply) ? (reply as readonly unknown[]) : []) {
      if (Array.isArray(row)) counts.set(String(row[0]), Number(row[3]));
    }
    return entries.map((entry) => ({ ...entry, deliveries: counts.get(entry.id) ?? 1 }));
  }

  async acknowledge(entries: readonly StreamEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.#options.redis.call('XACK', this.#key, this.#options.group, ...entries.map(({ id }) => id));
  }

  /** Cuts the stream below the oldest entry that the group has not finished. */
  async trim(): Promise<void> {
    // In this order: with nothing pending now, all that had been delivered before is finished. The other way round,
    // what another member was given in between would be cut off unfinished.
    const delivered = await this.#lastDelivered();
    const oldest = (await this.#summary()).oldestId ?? delivered;
    if (oldest !== undefined) await this.#options.redis.call('XTRIM', this.#key, 'MINID', '~', oldest);
  }

  async #summary(): Promise<{ readonly count: number; readonly oldestId: string | undefined }> {
    const reply = await this.#options.redis.call('XPENDING', this.#key, this.#options.group);
    if (!Array.isArray(reply) || typeof reply[1] !== 'string') return { count: 0, oldestId: undefined };
    return { count: Number(reply[0]), oldestId: reply[1] };
  }

  async #lastDelivered(): Promise<string | undefined> {
    const groups = await this.#options.redis.call('XINFO', 'GROUPS', this.#key);
    for (const group of Array.isArray(groups) ? (groups as readonly unknown[]) : []) {
      if (!Array.isArray(group)) continue;
      const facts = new Map<string, unknown>();
      for (let index = 0; index + 1 < group.length; index += 2) facts.set(String(group[index]), group[index + 1]);
      if (facts.get('name') === this.#options.group) return String(facts.get('last-delivered-id'));
    }
    return undefined;
  }

  async pending(nowMs: number): Promise<{ readonly count: number; readonly oldestMs: number }> {
    const { count, oldestId } = await this.#summary();
    // The id begins with Redis' time in milliseconds at which the entry was written.
    const writtenAtMs = Number(oldestId?.split('-')[0] ?? nowMs);
    return { count, oldestMs: count === 0 ? 0 : Math.max(0, nowMs - writtenAtMs) };
  }

  /** Takes nothing new from now on. */
  interrupt(): void {
    this.#isInterrupted = true;
  }
}
