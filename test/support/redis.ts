/** A pair of Redis databases that belongs to one test: streams in the first, rate limits in the second. */
import { Redis } from 'ioredis';
import { testEndpoints } from './stack.ts';

export interface TestRedis extends AsyncDisposable {
  /** Without a database number. */
  url: string;
  streamsDatabase: number;
  limitsDatabase: number;
  /** Different for every call: for code whose database number is fixed. */
  keyPrefix: string;
}

/** Hands out the pairs; database 0 and 1 stay free for whoever cannot choose. */
const counterKey = 'caracal:test:pairs';

/**
 * Takes the next pair, emptied; emptied again when disposed. More pairs at once than the server has databases are
 * not to be had, so a test takes one at a time.
 */
export async function testRedis(): Promise<TestRedis> {
  const url = testEndpoints().redisUrl;
  const client = new Redis(url);
  try {
    const [, databases] = (await client.config('GET', 'databases')) as [string, string];
    const taken = await client.incr(counterKey);
    const pair = 1 + (taken % (Math.floor(Number(databases) / 2) - 1));
    const [streamsDatabase, limitsDatabase] = [2 * pair, 2 * pair + 1];
    await emptyDatabases(url, [streamsDatabase, limitsDatabase]);
    return {
      url,
      streamsDatabase,
      limitsDatabase,
      keyPrefix: `test-${taken}:`,
      [Symbol.asyncDispose]: () => emptyDatabases(url, [streamsDatabase, limitsDatabase]),
    };
  } finally {
    client.disconnect();
  }
}

async function emptyDatabases(url: string, databases: readonly number[]): Promise<void> {
  const client = new Redis(url);
  try {
    for (const database of databases) {
      await client.select(database);
      await client.flushdb();
    }
  } finally {
    client.disconnect();
  }
}
