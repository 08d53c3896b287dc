// Single use, rates and memory on a Redis of this file's own, which is paused, killed and filled.
import { createClock } from '#mesh/time';
import { newId } from '#mesh/ids';
import {
  createMemoryWatch,
  createPublisher,
  createRateLimiter,
  createRedis,
  createReplayStore,
  createStreamSigner,
  evictionProblem,
  memoryShare,
  readServerFacts,
  type RedisConnection,
} from '#mesh/redis';
import { privateRedis, type Restartable } from '#test/private-components';
import { quietLogger } from '#test/quiet-logger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunningRedis } from '../../../dev/components/redis.ts';

const clock = createClock();
const PATIENCE = { timeout: 30_000, interval: 20 };
const perCall = { zoneId: 'z', kind: 'per_call' } as const;
const ttlMs = 60_000;

let server: Restartable<RunningRedis>;
let redis: RedisConnection;
let open: AsyncDisposable[];

beforeEach(async () => {
  server = await privateRedis({ durable: false });
  redis = createRedis({ url: server.running().url, db: 0, name: 'test', logger: quietLogger() });
  await redis.untilUp(AbortSignal.timeout(10_000));
  open = [];
});
afterEach(async () => {
  for (const each of open) await each[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function restart(): Promise<void> {
  process.kill(server.running().pid, 'SIGKILL');
  await expect.poll(() => redis.isUp(), PATIENCE).toBe(false);
  await server.restart();
  await expect.poll(() => redis.isUp(), PATIENCE).toBe(true);
}

describe('single use', () => {
  it('is first once for all processes, whatever the order', async () => {
    const stores = [createReplayStore({ redis }), createReplayStore({ redis }), createReplayStore({ redis })];
    const spend = { ...perCall, id: newId(), ttlMs };
    const answers = await Promise.all(stores.flatMap((store) => [store.spend(spend), store.spend(spend)]));
    expect(answers.filter((answer) => answer === 'first')).toHaveLength(1);
  });

  it('tells zones, kinds and ids apart', async () => {
    const store = createReplayStore({ redis });
    const id = newId();
    expect(await store.spend({ ...perCall, id, ttlMs })).toBe('first');
    expect(await store.spend({ ...perCall, zoneId: 'y', id, ttlMs })).toBe('first');
    expect(await store.spend({ ...perCall, kind: 'dpop', id, ttlMs })).toBe('first');
    expect(await store.spend({ ...perCall, id: newId(), ttlMs })).toBe('first');
  });

  it('is refused when Redis is away, hangs, or cannot write', async () => {
    const store = createReplayStore({ redis });
    const away = { reason: 'replay_store_unavailable' };
    process.kill(server.running().pid, 'SIGSTOP');
    await expect(store.spend({ ...perCall, id: newId(), ttlMs })).rejects.toMatchObject(away);
    process.kill(server.running().pid, 'SIGCONT');
    await expect
      .poll(
        () =>
          redis.ping().then(
            () => true,
            () => false,
          ),
        PATIENCE,
      )
      .toBe(true);
    await redis.call('CONFIG', 'SET', 'maxmemory', '1mb');
    await expect(store.spend({ ...perCall, id: newId(), ttlMs })).rejects.toMatchObject(away);
    process.kill(server.running().pid, 'SIGKILL');
    await expect.poll(() => redis.isUp(), PATIENCE).toBe(false);
    await expect(store.spend({ ...perCall, id: newId(), ttlMs })).rejects.toMatchObject(away);
  });
});

describe('memory', () => {
  function watched(): { memory: ReturnType<typeof createMemoryWatch>; losses: string[] } {
    const memory = createMemoryWatch({ redis, clock, newId, logger: quietLogger(), intervalMs: 50 });
    const losses: string[] = [];
    memory.onLoss(({ id }) => losses.push(id));
    memory.start();
    open.push(memory);
    return { memory, losses };
  }

  it('has one name for all processes, and no loss at the first look', async () => {
    const [one, other] = [watched(), watched()];
    await expect.poll(() => one.memory.current()?.id, PATIENCE).toBeDefined();
    await expect.poll(() => other.memory.current(), PATIENCE).toEqual(one.memory.current());
    expect([...one.losses, ...other.losses]).toEqual([]);
  });

  it.each([
    ['a restart', restart],
    ['a flush', async () => void (await redis.call('FLUSHALL'))],
  ])('that was lost by %s is noticed once, and nothing issued before passes for unused', async (_name, lose) => {
    const { memory, losses } = watched();
    await expect.poll(() => memory.current(), PATIENCE).toBeDefined();
    const store = createReplayStore({ redis, memory });
    const id = newId();
    const issuedAtMs = clock.now();
    expect(await store.spend({ ...perCall, id, ttlMs, issuedAtMs })).toBe('first');
    await lose();
    await expect.poll(() => losses.length, PATIENCE).toBe(1);
    const fresh = createReplayStore({ redis, memory });
    expect(await fresh.spend({ ...perCall, id, ttlMs, issuedAtMs })).toBe('replayed');
    expect(await fresh.spend({ ...perCall, id: newId(), ttlMs, issuedAtMs })).toBe('replayed');
    expect(await fresh.spend({ ...perCall, id: newId(), ttlMs, issuedAtMs: clock.now() + 1 })).toBe('first');
    for (const kind of ['client_assertion', 'id_token'] as const) {
      await expect(fresh.spend({ ...perCall, kind, id: newId(), ttlMs, issuedAtMs })).rejects.toMatchObject({
        reason: 'replay_store_unavailable',
        retryAfterMs: expect.any(Number),
      });
    }
  });

  it('that was flushed a moment ago is met by the spend itself', async () => {
    const memory = createMemoryWatch({ redis, clock, newId, logger: quietLogger(), intervalMs: 60_000 });
    memory.start();
    await expect.poll(() => memory.current(), PATIENCE).toBeDefined();
    const store = createReplayStore({ redis, memory });
    const spend = { ...perCall, id: newId(), ttlMs, issuedAtMs: clock.now() };
    await redis.call('FLUSHALL');
    await expect(store.spend(spend)).rejects.toMatchObject({ reason: 'replay_store_unavailable' });
    await expect.poll(() => store.spend(spend).catch(() => 'away'), PATIENCE).toBe('replayed');
  });

  it('says how full it is and whether it throws keys away', async () => {
    const facts = await readServerFacts(redis);
    expect(evictionProblem(facts)).toBeUndefined();
    await redis.call('CONFIG', 'SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru');
    const after = await readServerFacts(redis);
    expect(evictionProblem(after)).toContain('noeviction');
    expect(memoryShare(after)).toBeGreaterThan(0);
    expect(memoryShare(after)).toBeLessThan(1);
    expect(memoryShare(facts)).toBeLessThan(1);
  });
});

describe('rates', () => {
  it('allow the limit at once, then one per share of the window', async () => {
    const limiter = createRateLimiter({ redis });
    const rule = { key: 'k', limit: 5, windowSeconds: 1 };
    const burst = await Promise.all(Array.from({ length: 8 }, () => limiter.take(rule)));
    expect(burst.filter(({ allowed }) => allowed)).toHaveLength(5);
    const waits = burst.filter(({ allowed }) => !allowed).map(({ retryAfterMs }) => retryAfterMs);
    for (const wait of waits) {
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(200);
    }
    await clock.sleep(Math.max(...waits));
    expect((await limiter.take(rule)).allowed).toBe(true);
  });

  it('count keys apart and processes together', async () => {
    const [one, other] = [createRateLimiter({ redis }), createRateLimiter({ redis })];
    const rule = { key: 'k', limit: 2, windowSeconds: 60 };
    expect((await one.take(rule)).allowed).toBe(true);
    expect((await other.take(rule)).allowed).toBe(true);
    expect((await one.take(rule)).allowed).toBe(false);
    expect((await one.take({ ...rule, key: 'l' })).allowed).toBe(true);
  });

  it('that cannot be counted are a failure of the limiter', async () => {
    process.kill(server.running().pid, 'SIGKILL');
    await expect.poll(() => redis.isUp(), PATIENCE).toBe(false);
    const taken = createRateLimiter({ redis }).take({ key: 'k', limit: 2, windowSeconds: 60 });
    await expect(taken).rejects.toMatchObject({ reason: 'limiter_unavailable' });
  });
});

describe('a connection', () => {
  it('tells refusals from absence, command by command', async () => {
    const signer = createStreamSigner({ current: Buffer.alloc(32, 1) });
    const publisher = createPublisher({ redis, signer });
    await redis.call('SET', 'caracal.keys.invalidate', 'no stream');
    const entries = [
      { stream: 'caracal.policy.invalidate', fields: { id: 'a' } },
      { stream: 'caracal.keys.invalidate', fields: { id: 'b' } },
    ] as const;
    expect((await publisher.publish(entries)).map(({ kind }) => kind)).toEqual(['published', 'refused']);
    process.kill(server.running().pid, 'SIGSTOP');
    expect((await publisher.publish(entries)).map(({ kind }) => kind)).toEqual(['away', 'away']);
    process.kill(server.running().pid, 'SIGCONT');
    process.kill(server.running().pid, 'SIGKILL');
    await expect.poll(() => redis.isUp(), PATIENCE).toBe(false);
    expect((await publisher.publish(entries)).map(({ kind }) => kind)).toEqual(['away', 'away']);
  });

  it('comes back by itself and says each outage once', async () => {
    const logger = quietLogger();
    const other = createRedis({ url: server.running().url, name: 'other', logger });
    open.push(other);
    await other.untilUp(AbortSignal.timeout(10_000));
    logger.lines.length = 0;
    await restart();
    await expect.poll(() => other.isUp(), PATIENCE).toBe(true);
    expect(logger.lines.map(({ message }) => message)).toEqual(['redis away', 'redis connected']);
  });
});
