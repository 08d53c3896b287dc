// Signed streams on a real Redis: tails that see everything in order, groups that lose nothing, entries nobody may act on.
import { createClock } from '#mesh/time';
import { newId } from '#mesh/ids';
import {
  createGroupConsumer,
  createPublisher,
  createRedis,
  createStreamSigner,
  createTailReader,
  ensureGroup,
  provisionStreams,
  type GroupConsumerOptions,
  type RedisConnection,
  type StreamEntry,
} from '#mesh/redis';
import { quietLogger } from '#test/quiet-logger';
import { testRedis, type TestRedis } from '#test/redis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const clock = createClock();
const signer = createStreamSigner({ current: Buffer.alloc(32, 1) });
const TAIL = 'caracal.policy.invalidate';
const LEDGER = 'caracal.audit.events';
const LETTERS = 'caracal.audit.events.dlq';
const PATIENCE = { timeout: 20_000, interval: 20 };

let server: TestRedis;
let redis: RedisConnection;
let open: AsyncDisposable[];

beforeEach(async () => {
  server = await testRedis();
  redis = createRedis({
    url: server.url,
    db: server.streamsDatabase,
    name: 'test',
    logger: quietLogger(),
    keyPrefix: server.keyPrefix,
  });
  await redis.untilUp(AbortSignal.timeout(10_000));
  open = [];
});
afterEach(async () => {
  for (const each of open) await each[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const publish = async (stream: typeof TAIL | typeof LEDGER, ...ids: readonly string[]): Promise<void> => {
  const outcomes = await createPublisher({ redis, signer }).publish(ids.map((id) => ({ stream, fields: { id } })));
  expect(outcomes.every(({ kind }) => kind === 'published')).toBe(true);
};
const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_unused, index) => String(from + index));

describe('a tail', () => {
  function tail(options: { readonly batchSize?: number; readonly cursor?: string } = {}) {
    const seen: string[] = [];
    const rejected: string[] = [];
    const reader = createTailReader({
      redis,
      streams: [TAIL],
      signer,
      from: options.cursor === undefined ? 'now' : { [TAIL]: options.cursor },
      clock,
      logger: quietLogger(),
      onEntry: ({ fields }, read) => {
        expect(read.issuedAtMonotonicMs).toBeLessThanOrEqual(clock.monotonic());
        seen.push(fields['id'] ?? '');
      },
      onRejected: (_entry, verdict) => rejected.push(verdict),
      ...(options.batchSize === undefined ? {} : { batchSize: options.batchSize }),
    });
    open.push(reader);
    reader.start();
    return { reader, seen, rejected };
  }

  it('sees what is written after it began, and nothing from before', async () => {
    await publish(TAIL, 'before');
    const { reader, seen } = tail();
    await expect.poll(() => reader.cursor(TAIL), PATIENCE).toBeDefined();
    await publish(TAIL, 'a', 'b');
    await expect.poll(() => seen, PATIENCE).toEqual(['a', 'b']);
  });

  it('hands every entry to every reader, in order, across many reads', async () => {
    const tails = [tail({ batchSize: 7 }), tail({ batchSize: 7, cursor: '0-0' })];
    for (const { reader } of tails) await expect.poll(() => reader.cursor(TAIL), PATIENCE).toBeDefined();
    await publish(TAIL, ...numbered(1, 100));
    for (const { seen } of tails) await expect.poll(() => seen, PATIENCE).toEqual(numbered(1, 100));
  });

  it('puts aside what is unsigned, forged, or signed for another stream', async () => {
    const { reader, seen, rejected } = tail();
    await expect.poll(() => reader.cursor(TAIL), PATIENCE).toBeDefined();
    const elsewhere = signer.sign('caracal.keys.invalidate', { id: 'moved' });
    const key = redis.key(TAIL);
    await redis.call('XADD', key, '*', 'id', 'unsigned');
    await redis.call('XADD', key, '*', 'id', 'forged', '_sig', '0'.repeat(64));
    await redis.call('XADD', key, '*', ...Object.entries(elsewhere).flat());
    await redis.call('XADD', key, '*', 'id', 'two\nlines', '_sig', '0'.repeat(64));
    await publish(TAIL, 'good');
    await expect.poll(() => seen, PATIENCE).toEqual(['good']);
    expect(rejected).toEqual(['unsigned', 'forged', 'forged', 'malformed']);
  });

  it('is bounded where topology says so, and the ledger is not', async () => {
    const many = numbered(1, 300);
    await redis.pipeline(many.map((id) => ['XADD', redis.key(TAIL), 'MAXLEN', '~', 100, '*', 'id', id]));
    expect(await redis.call('XLEN', redis.key(TAIL))).toBeLessThan(300);
    await publish(LEDGER, ...many);
    expect(await redis.call('XLEN', redis.key(LEDGER))).toBe(300);
  });
});

describe('a group', () => {
  function consumer(options: Partial<GroupConsumerOptions> = {}) {
    const seen: string[] = [];
    const ids = (entries: readonly StreamEntry[]): string[] => entries.map(({ fields }) => fields['id'] ?? '');
    const member = createGroupConsumer({
      redis,
      stream: LEDGER,
      group: 'audit-ingestor',
      consumer: newId(),
      signer,
      deadLetter: { stream: LETTERS, publisher: createPublisher({ redis, signer }) },
      onBatch: (entries) => {
        seen.push(...ids(entries));
        return Promise.resolve([]);
      },
      claimIdleMs: 200,
      blockMs: 50,
      clock,
      logger: quietLogger(),
      ...options,
    });
    open.push(member);
    return { member, seen };
  }

  async function letters(): Promise<{ reason: string; id: string }[]> {
    const reply = (await redis.call('XRANGE', redis.key(LETTERS), '-', '+')) as [string, string[]][];
    return reply.map(([, list]) => {
      const fields = Object.fromEntries(
        list.flatMap((name, index) => (index % 2 === 0 ? [[name, list[index + 1] ?? '']] : [])),
      );
      expect(signer.verify(LETTERS, fields)).toBe(true);
      const entry = JSON.parse(fields['entry'] ?? '{}') as { id: string };
      return { reason: fields['reason'] ?? '', id: entry.id };
    });
  }

  it('consumes what was written before it existed', async () => {
    await publish(LEDGER, ...numbered(1, 50));
    await provisionStreams(redis, [LEDGER]);
    await provisionStreams(redis, [LEDGER]);
    const { member, seen } = consumer({ batchSize: 20 });
    member.start();
    await expect.poll(() => seen, PATIENCE).toEqual(numbered(1, 50));
    await expect.poll(() => member.pending(), PATIENCE).toEqual({ count: 0, oldestMs: 0 });
  });

  it('is made again when it is gone', async () => {
    const { member, seen } = consumer();
    member.start();
    await publish(LEDGER, 'a');
    await expect.poll(() => seen, PATIENCE).toEqual(['a']);
    await redis.call('DEL', redis.key(LEDGER));
    await publish(LEDGER, 'b');
    await expect.poll(() => seen, PATIENCE).toEqual(['a', 'b']);
  });

  it('divides the work and does each entry once', async () => {
    const members = [consumer({ batchSize: 5 }), consumer({ batchSize: 5 }), consumer({ batchSize: 5 })];
    for (const { member } of members) member.start();
    await publish(LEDGER, ...numbered(1, 200));
    const all = (): number[] => members.flatMap(({ seen }) => seen.map(Number)).toSorted((one, other) => one - other);
    await expect.poll(all, PATIENCE).toEqual(numbered(1, 200).map(Number));
  });

  it('repeats a batch while a fault passes, and acknowledges nothing before it is taken', async () => {
    let faults = 4;
    const seen: string[][] = [];
    const { member } = consumer({
      maxDeliveries: 2,
      onBatch: (entries) => {
        if (faults > 0) {
          faults -= 1;
          return Promise.reject(new Error('database away'));
        }
        seen.push(entries.map(({ fields }) => fields['id'] ?? ''));
        return Promise.resolve([]);
      },
      claimIdleMs: 60_000,
    });
    await publish(LEDGER, 'a', 'b');
    member.start();
    await expect.poll(async () => (await member.pending()).count, PATIENCE).toBe(2);
    await expect.poll(() => seen, PATIENCE).toEqual([['a', 'b']]);
    expect(await letters()).toEqual([]);
  });

  it('puts aside with its reason what the handler names, and acknowledges it after', async () => {
    const { member } = consumer({
      onBatch: (entries) =>
        Promise.resolve(
          entries.filter(({ fields }) => fields['id'] === 'bad').map(({ id }) => ({ id, reason: 'poison' })),
        ),
    });
    await publish(LEDGER, 'a', 'bad', 'b');
    await redis.call('XADD', redis.key(LEDGER), '*', 'id', 'unsigned');
    member.start();
    await expect
      .poll(async () => (await letters()).toSorted((one, other) => one.id.localeCompare(other.id)), PATIENCE)
      .toEqual([
        { id: 'bad', reason: 'poison' },
        { id: 'unsigned', reason: 'signature_unsigned' },
      ]);
    await expect.poll(async () => (await member.pending()).count, PATIENCE).toBe(0);
  });

  it('finds the one entry that spoils its batch, after so many tries', async () => {
    let calls = 0;
    const taken: string[] = [];
    const { member } = consumer({
      maxDeliveries: 2,
      isPassing: () => false,
      onBatch: (entries) => {
        calls += 1;
        if (entries.some(({ fields }) => fields['id'] === 'bad')) return Promise.reject(new Error('cannot'));
        taken.push(...entries.map(({ fields }) => fields['id'] ?? ''));
        return Promise.resolve([]);
      },
    });
    await publish(LEDGER, 'a', 'bad', 'b');
    member.start();
    await expect.poll(letters, PATIENCE).toEqual([{ id: 'bad', reason: 'handler_failed' }]);
    expect(taken).toEqual(['a', 'b']);
    expect(calls).toBe(2 + 1 + 2 + 1);
  });

  it('takes over what a dead member left', async () => {
    await ensureGroup(redis, LEDGER, 'audit-ingestor');
    await publish(LEDGER, 'a', 'b');
    const read = ['GROUP', 'audit-ingestor', 'dead', 'COUNT', 10, 'STREAMS', redis.key(LEDGER), '>'];
    await redis.call('XREADGROUP', ...read);
    const { member, seen } = consumer();
    member.start();
    await expect.poll(() => seen, PATIENCE).toEqual(['a', 'b']);
  });

  it('puts aside what has ended every member that took it', async () => {
    await ensureGroup(redis, LEDGER, 'audit-ingestor');
    await publish(LEDGER, 'deadly');
    const read = ['GROUP', 'audit-ingestor', 'dead', 'COUNT', 10, 'STREAMS', redis.key(LEDGER)];
    await redis.call('XREADGROUP', ...read, '>');
    for (let death = 0; death < 5; death += 1) await redis.call('XREADGROUP', ...read, '0');
    const { member, seen } = consumer();
    member.start();
    await expect.poll(letters, PATIENCE).toEqual([{ id: 'deadly', reason: 'max_deliveries' }]);
    expect(seen).toEqual([]);
  });

  it('begins with its own unfinished entries after a restart', async () => {
    await ensureGroup(redis, LEDGER, 'audit-ingestor');
    await publish(LEDGER, 'a', 'b');
    await redis.call('XREADGROUP', 'GROUP', 'audit-ingestor', 'stable', 'COUNT', 1, 'STREAMS', redis.key(LEDGER), '>');
    const { member, seen } = consumer({ consumer: 'stable', claimIdleMs: 60_000 });
    member.start();
    await expect.poll(() => seen, PATIENCE).toEqual(['a', 'b']);
  });

  it('cuts the stream below what it has finished, and not above', async () => {
    const held = Promise.withResolvers<void>();
    const { member, seen } = consumer({
      batchSize: 100,
      trimEveryMs: 20,
      onBatch: async (entries) => {
        if (entries.some(({ fields }) => fields['id'] === '901')) await held.promise;
        seen.push(...entries.map(({ fields }) => fields['id'] ?? ''));
        return [];
      },
    });
    await publish(LEDGER, ...numbered(1, 1_000));
    member.start();
    await expect.poll(() => seen.length, PATIENCE).toBe(900);
    expect(Number(await redis.call('XLEN', redis.key(LEDGER)))).toBeGreaterThanOrEqual(100);
    held.resolve();
    await expect.poll(() => seen.length, PATIENCE).toBe(1_000);
    await expect.poll(async () => Number(await redis.call('XLEN', redis.key(LEDGER))), PATIENCE).toBeLessThan(500);
  });
});
