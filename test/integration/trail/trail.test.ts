// Evidence before effect, with Redis and the producer ended, hung, filled and restarted in between.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { hmacSha256Hex } from '#mesh/canonical';
import type { Failure } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { createRedis, createStreamSigner, type RedisConnection } from '#mesh/redis';
import { createClock } from '#mesh/time';
import { createTrail, type ProducerWatermark, type Trail, type TrailOptions } from '#mesh/trail';
import { privateRedis, type Restartable } from '#test/private-components';
import { quietLogger } from '#test/quiet-logger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunningRedis } from '../../../dev/components/redis.ts';

const STREAM = 'caracal.audit.events';
const AUDIT_KEY = Buffer.alloc(32, 2);
const PATIENCE = { timeout: 30_000, interval: 20 };
const signer = createStreamSigner({ current: Buffer.alloc(32, 1) });
const draft = { zoneId: 'z', eventType: 'gateway.decision', requestId: 'r', decision: 'allow' } as const;

let server: Restartable<RunningRedis>;
let redis: RedisConnection;
let folder: string;
let open: Trail[];
let watermarks: ProducerWatermark[];

beforeEach(async () => {
  server = await privateRedis({ durable: false });
  redis = createRedis({ url: server.running().url, db: 0, name: 'test', logger: quietLogger() });
  await redis.untilUp(AbortSignal.timeout(10_000));
  folder = mkdtempSync(join(tmpdir(), 'trail-'));
  open = [];
  watermarks = [];
});
afterEach(async () => {
  for (const trail of open) await trail[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function trailOf(options: Partial<TrailOptions> = {}): Promise<Trail> {
  const trail = await createTrail({
    producer: 'gateway',
    redis,
    journalDirectory: folder,
    auditKey: AUDIT_KEY,
    streamSigner: signer,
    watermarks: () => Promise.resolve(watermarks),
    clock: createClock(),
    newId,
    logger: quietLogger(),
    ...options,
  });
  open.push(trail);
  return trail;
}

const signal = (name: NodeJS.Signals): void => void process.kill(server.running().pid, name);

async function kill(): Promise<void> {
  signal('SIGKILL');
  await expect.poll(() => redis.isUp(), PATIENCE).toBe(false);
}

async function comeBack(): Promise<void> {
  await server.restart();
  await redis.untilUp(AbortSignal.timeout(20_000));
}

interface StoredEvent {
  readonly id: string;
  readonly producer: string;
  readonly producer_incarnation: string;
  readonly producer_seq: number;
  readonly event_type: string;
}

async function stored(): Promise<StoredEvent[]> {
  const reply = (await redis.call('XRANGE', STREAM, '-', '+')) as [string, string[]][];
  return reply.map(([, list]) => {
    const fields = Object.fromEntries(
      list.flatMap((name, index) => (index % 2 === 0 ? [[name, list[index + 1] ?? '']] : [])),
    );
    expect(signer.verify(STREAM, fields)).toBe(true);
    expect(fields['sig']).toBe(hmacSha256Hex(AUDIT_KEY, fields['data'] ?? ''));
    const event = JSON.parse(fields['data'] ?? '') as StoredEvent;
    expect(event.id).toBe(fields['id']);
    return event;
  });
}

const storedIds = async (): Promise<string[]> => [...new Set((await stored()).map(({ id }) => id))].toSorted();
const emitAll = async (trail: Trail, count: number): Promise<string[]> => {
  const emitted = await Promise.all(Array.from({ length: count }, () => trail.emit(draft)));
  return emitted.map(({ eventId }) => eventId).toSorted();
};

describe('while Redis answers', () => {
  it('events are there when emit resolves, numbered without gaps, in one order', async () => {
    const trail = await trailOf();
    const ids = await emitAll(trail, 1_500);
    const events = await stored();
    expect(events.map(({ id }) => id).toSorted()).toEqual(ids);
    expect(events.map(({ producer_seq }) => producer_seq)).toEqual(
      Array.from({ length: 1_500 }, (_unused, n) => n + 1),
    );
    expect(new Set(events.map(({ producer_incarnation }) => producer_incarnation))).toEqual(
      new Set([trail.incarnation]),
    );
  });

  it('what nobody waits for arrives too, under the next number', async () => {
    const trail = await trailOf();
    await trail.emit(draft);
    trail.emitLater({ ...draft, eventType: 'gateway.outcome' });
    await expect
      .poll(async () => (await stored()).map(({ event_type }) => event_type), PATIENCE)
      .toEqual(['gateway.decision', 'gateway.outcome']);
  });

  it('the journal is deleted as the ledger confirms', async () => {
    const trail = await trailOf({ segmentBytes: 2_000 });
    await emitAll(trail, 20);
    await emitAll(trail, 20);
    expect(readdirSync(folder).length).toBeGreaterThan(0);
    watermarks = [{ incarnation: trail.incarnation, seq: 40 }];
    await expect.poll(() => readdirSync(folder).length, PATIENCE).toBe(0);
  });

  it('an event that cannot be built takes no number', async () => {
    const trail = await trailOf();
    await trail.emit(draft);
    await expect(trail.emit({ ...draft, metadata: { text: 'x'.repeat(600_000) } })).rejects.toThrow();
    await trail.emit(draft);
    expect((await stored()).map(({ producer_seq }) => producer_seq)).toEqual([1, 2]);
  });
});

describe('while Redis is away', () => {
  it('the journal makes events durable, and each is in the stream once Redis is back', async () => {
    const trail = await trailOf();
    await kill();
    const ids = await emitAll(trail, 300);
    expect(trail.unpublishedCount()).toBe(300);
    expect(trail.isUsable()).toBe(true);
    await comeBack();
    await expect.poll(storedIds, PATIENCE).toEqual(ids);
    await expect.poll(() => trail.unpublishedCount(), PATIENCE).toBe(0);
  });

  it('a Redis that hangs costs one wait, and no event', async () => {
    const trail = await trailOf();
    const before = await emitAll(trail, 5);
    signal('SIGSTOP');
    const during: string[] = [];
    for (let round = 0; round < 20; round += 1) during.push(...(await emitAll(trail, 2)));
    signal('SIGCONT');
    await expect.poll(storedIds, PATIENCE).toEqual([...before, ...during].toSorted());
  });

  it('a full Redis is like one that is away', async () => {
    const trail = await trailOf();
    await redis.call('CONFIG', 'SET', 'maxmemory', '1mb');
    const ids = await emitAll(trail, 10);
    await redis.call('CONFIG', 'SET', 'maxmemory', '0');
    await expect.poll(storedIds, PATIENCE).toEqual(ids);
  });

  it('above the high-water mark the journal serves alone, and below it all is handed over', async () => {
    const trail = await trailOf();
    await redis.call('SET', 'filler', 'x'.repeat(60 * 1024 * 1024));
    await redis.call('CONFIG', 'SET', 'maxmemory', '80mb');
    await expect
      .poll(async () => {
        await trail.emit(draft);
        return trail.unpublishedCount();
      }, PATIENCE)
      .toBeGreaterThan(0);
    const known = (await stored()).length;
    await emitAll(trail, 10);
    expect(await stored()).toHaveLength(known);
    await redis.call('DEL', 'filler');
    await expect.poll(() => trail.unpublishedCount(), PATIENCE).toBe(0);
    expect(await storedIds()).toHaveLength((await stored()).length);
    expect((await stored()).length).toBeGreaterThanOrEqual(known + 10);
  });

  it('and the journal is full, nothing is released until one of them works; no number is missing then', async () => {
    const trail = await trailOf({ maxBytes: 4_000, segmentBytes: 1_000 });
    await kill();
    let durable = 0;
    const refused = async (): Promise<boolean> => {
      const answer = await trail.emit(draft).then(
        () => 'durable',
        (error: unknown) => (error as Failure).reason,
      );
      if (answer === 'durable') durable += 1;
      return answer === 'audit_unavailable';
    };
    await expect.poll(refused, PATIENCE).toBe(true);
    expect(durable).toBeGreaterThan(0);
    expect(trail.isUsable()).toBe(false);
    trail.emitLater(draft);
    await comeBack();
    await expect.poll(() => trail.isUsable(), PATIENCE).toBe(true);
    await trail.emit(draft);
    await expect.poll(() => trail.unpublishedCount(), PATIENCE).toBe(0);
    const numbers = [...new Set((await stored()).map(({ producer_seq }) => producer_seq))].toSorted(
      (one, other) => one - other,
    );
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_unused, index) => index + 1));
    expect(numbers.length).toBeGreaterThanOrEqual(durable + 1);
  });
});

describe('a loss', () => {
  it('of Redis memory: everything the ledger has not confirmed is published again', async () => {
    const trail = await trailOf();
    await emitAll(trail, 30);
    const confirmed = (await stored()).filter(({ producer_seq }) => producer_seq <= 10).map(({ id }) => id);
    const expected = (await storedIds()).filter((id) => !confirmed.includes(id));
    watermarks = [{ incarnation: trail.incarnation, seq: 10 }];
    await createClock().sleep(1_200);
    await kill();
    await comeBack();
    await expect.poll(storedIds, PATIENCE).toEqual(expected);
  });

  it('of the process: what it journalled alone is published by the next one, which then forgets it', async () => {
    const first = await trailOf();
    await kill();
    const ids = await emitAll(first, 50);
    open = [];
    await first[Symbol.asyncDispose]();
    await comeBack();
    const second = await trailOf();
    await expect.poll(storedIds, PATIENCE).toEqual(ids);
    const later = await emitAll(second, 3);
    expect(await storedIds()).toEqual([...ids, ...later].toSorted());
    watermarks = [{ incarnation: first.incarnation, seq: 50 }];
    await expect
      .poll(() => readdirSync(folder).filter((name) => name.startsWith(first.incarnation)), PATIENCE)
      .toEqual([]);
  });

  it('of patience in the ledger: what it gave up waiting for is published all the same', async () => {
    const first = await trailOf();
    await kill();
    const ids = await emitAll(first, 20);
    watermarks = [{ incarnation: first.incarnation, seq: 20 }];
    await createClock().sleep(1_200);
    open = [];
    await first[Symbol.asyncDispose]();
    await comeBack();
    const second = await trailOf();
    await expect.poll(storedIds, PATIENCE).toEqual(ids);
    await expect
      .poll(() => readdirSync(folder).filter((name) => name.startsWith(first.incarnation)), PATIENCE)
      .toEqual([]);
    expect(second.unpublishedCount()).toBe(0);
  });

  it('of the process by kill -9 and of Redis memory after it: no event that was called durable is missing', async () => {
    const script = fileURLToPath(new URL('producer.ts', import.meta.url));
    const child = spawn(process.execPath, [script, server.running().url, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const durable: string[] = [];
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => durable.push(line));
    await expect.poll(() => durable.length, PATIENCE).toBeGreaterThan(500);
    child.kill('SIGKILL');
    await new Promise((resolve) => lines.once('close', resolve));
    await kill();
    await comeBack();
    expect(await stored()).toEqual([]);
    await trailOf();
    const [, ...ids] = durable;
    await expect
      .poll(async () => {
        const there = new Set(await storedIds());
        return ids.filter((id) => id.length === 36 && !there.has(id));
      }, PATIENCE)
      .toEqual([]);
  });

  it('of nothing, when a process ends as it should: all is in Redis and the folder holds what the ledger has not', async () => {
    const trail = await trailOf();
    const ids = await emitAll(trail, 10);
    trail.emitLater(draft);
    open = [];
    await trail[Symbol.asyncDispose]();
    expect(await storedIds()).toHaveLength(ids.length + 1);
    expect(readdirSync(folder)).toHaveLength(1);
    expect(trail.isUsable()).toBe(false);
    await expect(trail.emit(draft)).rejects.toMatchObject({ reason: 'audit_unavailable' });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });
});
