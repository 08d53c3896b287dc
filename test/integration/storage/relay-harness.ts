// A relay on real stores whose Redis can be told to be away or to refuse, and the stream as its readers see it.
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { JsonObject } from '#mesh/failure';
import { createRelay, type Relay, type RelayOptions } from '#mesh/outbox';
import type { Database } from '#mesh/postgres';
import {
  createPublisher,
  createRedis,
  createStreamSigner,
  RedisAway,
  RedisRefused,
  type Publication,
  type Publisher,
  type PublishOutcome,
  type StreamFields,
  type StreamSigner,
} from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import type { ServiceName, StreamName } from '#mesh/topology';
import { testRedis } from '#test/redis';

/** What the publisher between relay and Redis does with an entry. */
export type Behaviour = (entry: Publication) => 'pass' | 'away' | 'refuse';

export interface StreamReader extends AsyncDisposable {
  readonly publisher: Publisher;
  readonly signer: StreamSigner;
  /** Changes what happens to entries from now on. */
  behave(behaviour: Behaviour): void;
  entries(stream: StreamName): Promise<StreamFields[]>;
  clear(): Promise<void>;
}

export async function streamReader(): Promise<StreamReader> {
  const place = await testRedis();
  const redis = createRedis({ url: place.url, db: place.streamsDatabase, name: 'relay-test', logger: silentLogger });
  const reader = new Redis(place.url, { db: place.streamsDatabase });
  const signer = createStreamSigner({ current: randomBytes(32) });
  const inner = createPublisher({ redis, signer });
  let behaviour: Behaviour = () => 'pass';
  return {
    signer,
    publisher: { publish: (entries) => publishAs(inner, entries, behaviour) },
    behave: (next) => {
      behaviour = next;
    },
    entries: async (stream) => (await reader.xrange(stream, '-', '+')).map(([, flat]) => fieldsOf(flat)),
    clear: async () => {
      await reader.flushdb();
    },
    [Symbol.asyncDispose]: async () => {
      reader.disconnect();
      await redis[Symbol.asyncDispose]();
      await place[Symbol.asyncDispose]();
    },
  };
}

function fieldsOf(flat: string[]): StreamFields {
  return Object.fromEntries(
    Array.from({ length: flat.length / 2 }, (_, index) => [flat[2 * index], flat[2 * index + 1]]),
  );
}

async function publishAs(
  inner: Publisher,
  entries: readonly Publication[],
  behaviour: Behaviour,
): Promise<PublishOutcome[]> {
  const outcomes: PublishOutcome[] = [];
  for (const entry of entries) {
    const told = behaviour(entry);
    if (told === 'pass') outcomes.push(...(await inner.publish([entry])));
    else if (told === 'away') outcomes.push({ kind: 'away', error: new RedisAway('told to be away') });
    else outcomes.push({ kind: 'refused', error: new RedisRefused('ERR told to refuse') });
  }
  return outcomes;
}

/** A started relay with a small batch, which looks by itself every 50 ms unless told otherwise. */
export function startRelay(
  service: ServiceName,
  parts: {
    database: Database;
    publisher: Publisher;
    pollMs?: number;
    maxAttempts?: number;
    batchSize?: number;
    ledgerMemory?: RelayOptions['ledgerMemory'];
  },
): Relay {
  const relay = createRelay({
    service,
    database: parts.database,
    publisher: parts.publisher,
    ledgerMemory: parts.ledgerMemory,
    ledgerFields: (draft, origin) => ({
      id: origin.id,
      data: JSON.stringify({ draft, origin }),
      sig: 'made for a test',
    }),
    pollMs: parts.pollMs ?? 50,
    batchSize: parts.batchSize ?? 7,
    maxAttempts: parts.maxAttempts ?? 3,
    clock: createClock(),
    logger: silentLogger,
  });
  relay.start();
  return relay;
}

export const isBeat = (fields: StreamFields): boolean => fields['hb'] === '1';

export function dataOf(fields: StreamFields | undefined): JsonObject {
  return JSON.parse(fields?.['data'] ?? '{}') as JsonObject;
}
