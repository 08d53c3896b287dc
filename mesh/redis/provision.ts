// Makes streams and their consumer groups exist. Groups begin at 0, so that what was written before the first consumer
// came is not lost.
import { streams, type StreamName } from '#mesh/topology';
import type { RedisConnection } from './connection.ts';
import { RedisRefused } from './errors.ts';

/** Creates the group, and the stream with it, unless it is there. */
export async function ensureGroup(redis: RedisConnection, stream: StreamName, group: string): Promise<void> {
  try {
    await redis.call('XGROUP', 'CREATE', redis.key(stream), group, '0', 'MKSTREAM');
  } catch (error) {
    if (!(error instanceof RedisRefused) || error.code !== 'BUSYGROUP') throw error;
  }
}

/** Every group of the named streams as topology lists them. Idempotent. */
export async function provisionStreams(redis: RedisConnection, names: readonly StreamName[]): Promise<void> {
  for (const stream of names) {
    for (const group of streams[stream].groups ?? []) await ensureGroup(redis, stream, group);
  }
}
