// Redis: connections, signed streams, single use, rate limits.
//
//   const redis = createRedis({ url, db: 0, name: 'sts', logger });
//   const signer = createStreamSigner({ current: key, previous });
//   const publisher = createPublisher({ redis, signer });
//   await publisher.publish([{ stream: 'caracal.policy.invalidate', fields }]);
//
//   const tail = createTailReader({ redis, streams, signer, from: 'now', clock, logger, onEntry });
//   tail.start();
//
//   const memory = createMemoryWatch({ redis, clock, newId, logger });
//   memory.start();
//   const replays = createReplayStore({ redis, memory });
//   (await replays.spend({ zoneId, kind: 'per_call', id: jti, ttlMs, issuedAtMs })) === 'first';
//
//   const limiter = createRateLimiter({ redis: createRedis({ url, db: 1, name: 'sts-limits', logger }) });
//   (await limiter.take({ key, limit: 1000, windowSeconds: 60 })).allowed;
export {
  createRedis,
  defineScript,
  type PipelineReply,
  type RedisArgument,
  type RedisCommand,
  type RedisConnection,
  type RedisConnectionOptions,
  type RedisScript,
} from './connection.ts';
export type { DeadLetter } from './dead-letters.ts';
export { RedisAway, RedisRefused } from './errors.ts';
export {
  createGroupConsumer,
  type GroupConsumer,
  type GroupConsumerOptions,
  type RefusedEntry,
} from './group-consumer.ts';
export type { GroupEntry } from './group-position.ts';
export { createMemoryWatch, type MemoryWatch, type RedisMemory } from './memory-watch.ts';
export { ensureGroup, provisionStreams } from './provision.ts';
export { createPublisher, type Publication, type Publisher, type PublishOutcome } from './publisher.ts';
export { createRateLimiter, type RateLimiter, type RateRule, type RateVerdict } from './rate-limiter.ts';
export { createReplayStore, type ReplayKind, type ReplayStore, type Spend } from './replay-store.ts';
export { evictionProblem, memoryShare, readServerFacts, type ServerFacts } from './server-facts.ts';
export { FIRST_ID, type StreamEntry } from './stream-entry.ts';
export {
  createStreamSigner,
  SIGNATURE_FIELD,
  type SignatureVerdict,
  type StreamFields,
  type StreamKeys,
  type StreamSigner,
} from './stream-signer.ts';
export { createTailReader, type TailRead, type TailReader, type TailReaderOptions } from './tail-reader.ts';
