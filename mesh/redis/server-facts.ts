// What a Redis server says of itself that this installation depends on: which run of it this is, how full it is, and
// whether it throws keys away.
import type { RedisConnection } from './connection.ts';

export interface ServerFacts {
  /** New with every start of the server. */
  readonly runId: string;
  readonly usedBytes: number;
  /** 0 when the server sets no limit. */
  readonly limitBytes: number;
  readonly evictionPolicy: string;
}

function readInfo(text: unknown): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  for (const line of String(text).split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) facts.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return facts;
}

export async function readServerFacts(redis: RedisConnection): Promise<ServerFacts> {
  const server = readInfo(await redis.call('INFO', 'server'));
  const memory = readInfo(await redis.call('INFO', 'memory'));
  return {
    runId: server.get('run_id') ?? '',
    usedBytes: Number(memory.get('used_memory') ?? 0),
    limitBytes: Number(memory.get('maxmemory') ?? 0),
    evictionPolicy: memory.get('maxmemory_policy') ?? 'unknown',
  };
}

/** The sentence to stop with in published modes, or undefined: anything but noeviction drops evidence and replay marks. */
export function evictionProblem(facts: ServerFacts): string | undefined {
  return facts.evictionPolicy === 'noeviction'
    ? undefined
    : `Redis maxmemory-policy is ${facts.evictionPolicy}; published modes need noeviction`;
}

/** How full the server is, from 0 to 1; 0 when it has no limit. */
export function memoryShare({ usedBytes, limitBytes }: ServerFacts): number {
  return limitBytes > 0 ? usedBytes / limitBytes : 0;
}
