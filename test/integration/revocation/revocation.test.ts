// From the commit of a revocation to the refusal: Postgres, the relay, Redis and enforcement points, and what each may miss.
import { newId, type ZoneId } from '#mesh/ids';
import { createRelay, enqueueNumbered, type Relay } from '#mesh/outbox';
import { createPool, type Database } from '#mesh/postgres';
import { createPublisher, createRedis, createStreamSigner, type RedisConnection } from '#mesh/redis';
import {
  createEnforcementPoint,
  createInvalidationTail,
  createPropagation,
  createRevocationSource,
  createRevocationView,
  createTailSource,
  readBarrier,
  readStreamHead,
  type RevocationView,
} from '#mesh/revocation';
import { createClock, type DisciplinedClock } from '#mesh/time';
import { cuttableLink, type CuttableLink } from '#test/cuttable-link';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { privateRedis, type Restartable } from '#test/private-components';
import { quietLogger } from '#test/quiet-logger';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunningRedis } from '../../../dev/components/redis.ts';

const STREAM = 'caracal.sessions.revoke';
const PATIENCE = { timeout: 30_000, interval: 10 };
const signer = createStreamSigner({ current: Buffer.alloc(32, 1) });
const zone = newId() as ZoneId;
const logger = quietLogger();

let server: Restartable<RunningRedis>;
let databases: DisposableDatabase;
let sts: Database;
let gateway: Database;
let redis: RedisConnection;
let clock: DisciplinedClock;
let relay: Relay;
let link: CuttableLink;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  databases = stack.use(await disposableDatabase());
  server = stack.use(await privateRedis({ durable: false }));
  clock = createClock();
  sts = stack.use(createPool({ service: 'sts', connectionString: databases.urls.sts, max: 4, logger }));
  link = stack.use(await cuttableLink(databases.urls.gateway));
  gateway = stack.use(createPool({ service: 'gateway', connectionString: link.url, max: 2, logger }));
  redis = stack.use(createRedis({ url: server.running().url, db: 0, name: 'test', logger }));
  await redis.untilUp(AbortSignal.timeout(10_000));
  relay = createRelay({
    database: sts,
    service: 'sts',
    publisher: createPublisher({ redis, signer }),
    ledgerFields: (_draft, { id }) => ({ id }),
    pollMs: 200,
    batchSize: 100,
    maxAttempts: 5,
    clock,
    logger,
  });
  relay.start();
  stack.defer(() => relay[Symbol.asyncDispose]());
});
afterEach(() => stack.disposeAsync());

async function revoke(...anchors: readonly string[]): Promise<number> {
  const rows = await sts.inZone(zone, (tx) =>
    tx.query<{ number: string }>('SELECT sts_pub.revoke($1, $2, $3) AS number', [
      zone,
      JSON.stringify(anchors.map((anchor) => ({ kind: 'session', anchor }))),
      'test',
    ]),
  );
  return Number(rows[0]?.number);
}

interface Point {
  readonly view: RevocationView;
  readonly refuses: (id: string, rev?: number) => boolean;
}

async function point(replica: string, options: { readonly maxStalenessMs?: number } = {}): Promise<Point> {
  const view = createRevocationView({
    source: createRevocationSource(gateway),
    openTail: createTailSource({ redis, signer, clock, logger }),
    membership: createEnforcementPoint({ database: gateway, service: 'gateway', replica, newId }),
    clock,
    logger,
    ...options,
  });
  stack.use(view);
  await view.start();
  return { view, refuses: (id, rev = 0) => view.refuses(zone, rev, [{ kind: 'session', id }]) !== undefined };
}

const kill = async (): Promise<void> => {
  process.kill(server.running().pid, 'SIGKILL');
  await expect.poll(() => redis.isUp(), PATIENCE).toBe(false);
};

describe('a revocation', () => {
  it('is refused at every point, through the stream, and passes the barrier', async () => {
    const points = await Promise.all(['a', 'b', 'c'].map((replica) => point(replica)));
    const number = await revoke('s-1', 's-2');
    for (const { view, refuses } of points) {
      await expect.poll(() => refuses('s-1') && refuses('s-2'), PATIENCE).toBe(true);
      expect(refuses('s-1', number)).toBe(false);
      view.assertUsable();
    }
    await expect
      .poll(() => readBarrier(sts, number), PATIENCE)
      .toEqual({ points: 3, waiting: 0, gone: 0, missing: [] });
  });

  it('written before a point started is in its snapshot', async () => {
    await revoke('s-1');
    const { view, refuses } = await point('a');
    expect(refuses('s-1')).toBe(true);
    expect(view.applied()).toBe(1);
  });

  it('arrives while Redis is away, and after Redis lost everything', async () => {
    const { view, refuses } = await point('a');
    await kill();
    await revoke('while away');
    await expect.poll(() => refuses('while away'), PATIENCE).toBe(true);
    view.assertUsable();
    await server.restart();
    await revoke('after the loss');
    await expect.poll(() => refuses('after the loss'), PATIENCE).toBe(true);
    view.assertUsable();
  });

  it('whose entry is lost on the way is read from its owner', async () => {
    const { refuses } = await point('a');
    await relay[Symbol.asyncDispose]();
    await revoke('never published');
    await expect.poll(() => refuses('never published'), PATIENCE).toBe(true);
  });

  it('cannot be made, changed or hidden by whoever writes to Redis without the key', async () => {
    const { view, refuses } = await point('a');
    const stream = redis.key(STREAM);
    const data = JSON.stringify({ number: '1', zoneId: zone, kind: 'ANCHOR_KIND_SESSION', anchor: 'invented' });
    await redis.call('XADD', stream, '*', 'incarnation', 'x', 'number', '1', 'data', data);
    await redis.call('XADD', stream, '*', 'number', '1', 'data', data, '_sig', '0'.repeat(64));
    await revoke('s-1');
    await expect.poll(() => refuses('s-1'), PATIENCE).toBe(true);
    const entries = (await redis.call('XRANGE', stream, '-', '+')) as [string, string[]][];
    for (const [, fields] of entries.toReversed()) await redis.call('XADD', stream, '*', ...fields);
    await redis.call('DEL', stream);
    await revoke('s-2');
    await expect.poll(() => refuses('s-2'), PATIENCE).toBe(true);
    expect(refuses('invented')).toBe(false);
    expect(view.applied()).toBe(2);
    view.assertUsable();
  });

  it('comes in the order of its number, however many are written at once', async () => {
    const { view, refuses } = await point('a');
    const heard: number[] = [];
    view.onAnchor(({ number }) => heard.push(number));
    const numbers = await Promise.all(Array.from({ length: 40 }, (_unused, index) => revoke(`s-${index}`)));
    await expect.poll(() => view.applied(), PATIENCE).toBe(Math.max(...numbers));
    expect(new Set(heard).size).toBe(40);
    expect(numbers.every((_number, index) => refuses(`s-${index}`))).toBe(true);
  });
});

describe('an enforcement point', () => {
  it('that was counted as gone comes back under a new row, and the barrier waits for it again', async () => {
    const { view, refuses } = await point('a');
    await sts.query('UPDATE sts.enforcement_points SET gone_at = clock_timestamp()');
    const rows = (): Promise<{ isGone: boolean }[]> =>
      sts.query('SELECT gone_at IS NOT NULL AS "isGone" FROM sts.enforcement_points ORDER BY registered_at');
    await expect.poll(rows, PATIENCE).toEqual([{ isGone: true }, { isGone: false }]);
    await expect.poll(() => view.mayServe(), PATIENCE).toBe(true);
    const number = await revoke('s-1');
    await expect.poll(() => refuses('s-1'), PATIENCE).toBe(true);
    await expect.poll(async () => (await readBarrier(sts, number)).waiting, PATIENCE).toBe(0);
    expect((await readBarrier(sts, number)).points).toBe(1);
  });

  it('that knows neither stream nor owner serves nobody, tells once, and comes back', async () => {
    const { view } = await point('a', { maxStalenessMs: 1_500 });
    let cuts = 0;
    view.onStale(() => (cuts += 1));
    process.kill(server.running().pid, 'SIGSTOP');
    link.cut();
    await expect.poll(() => view.isFresh() || view.mayServe(), PATIENCE).toBe(false);
    await expect.poll(() => cuts, PATIENCE).toBe(1);
    expect(() => view.assertUsable()).toThrow('revocation_stale');
    link.mend();
    await expect.poll(() => view.isFresh() && view.mayServe(), PATIENCE).toBe(true);
    process.kill(server.running().pid, 'SIGCONT');
    expect(cuts).toBe(1);
  });

  it("gives its clock the database's time", async () => {
    await point('a');
    expect(clock.isSet()).toBe(true);
    expect(Math.abs((await sts.now()) - clock.now())).toBeLessThan(1_000);
  });
});

describe('another numbered stream', () => {
  it('is followed from its head, entry by entry', async () => {
    const heard: unknown[] = [];
    let resets = 0;
    const tail = createInvalidationTail({
      stream: 'caracal.keys.invalidate',
      openTail: createTailSource({ redis, signer, clock, logger }),
      head: readStreamHead(gateway, 'caracal.keys.invalidate'),
      onEntry: (payload) => heard.push(payload),
      onReset: () => void (resets += 1),
      clock,
      logger,
    });
    stack.use(tail);
    tail.start();
    await expect.poll(() => tail.isFresh(), PATIENCE).toBe(true);
    expect(resets).toBe(1);
    await sts.inZone(zone, (tx) =>
      enqueueNumbered(tx, { stream: 'caracal.keys.invalidate', zoneId: zone, payload: { zone_id: zone } }),
    );
    await expect.poll(() => heard, PATIENCE).toHaveLength(1);
    expect(JSON.stringify(heard)).toContain(zone);
    expect(resets).toBe(1);
  });
});

describe('a change that a numbered stream tells', () => {
  const stream = 'caracal.keys.invalidate' as const;

  function follow({ view }: Point): void {
    const tail = createInvalidationTail({
      stream,
      openTail: createTailSource({ redis, signer, clock, logger }),
      head: readStreamHead(gateway, stream),
      positions: view.positions,
      onEntry: () => undefined,
      onReset: () => undefined,
      clock,
      logger,
    });
    stack.use(tail);
    tail.start();
  }

  async function change(): Promise<{ stream: typeof stream; incarnation: string; number: number }> {
    const number = await sts.inZone(zone, (tx) =>
      enqueueNumbered(tx, { stream, zoneId: zone, payload: { zone_id: zone } }),
    );
    return { stream, incarnation: (await readStreamHead(gateway, stream)()).incarnation, number };
  }

  it('is propagated once every live point has applied it, and names those that have not', async () => {
    const [near, far] = [await point('near'), await point('far')];
    const propagation = createPropagation(sts, clock);
    follow(near);
    const first = await change();
    const waiting = { propagated: false, points: 2, missing: ['gateway/far'] };
    await expect.poll(() => propagation.look(first), PATIENCE).toEqual(waiting);
    await expect(propagation.wait(first, 50)).rejects.toMatchObject({
      reason: 'barrier_timeout',
      details: { points: 2, missing: ['gateway/far'] },
    });
    follow(far);
    expect(await propagation.wait(first, PATIENCE.timeout)).toMatchObject({ propagated: true, points: 2, missing: [] });
    // What was handed on is told at once, not with the next second's renewal.
    const second = await change();
    expect(await propagation.wait(second, PATIENCE.timeout)).toMatchObject({ propagated: true });
    expect(await propagation.look({ ...second, number: second.number + 1 })).toMatchObject({ propagated: false });
  });

  it('is not propagated by points that count in another incarnation', async () => {
    follow(await point('near'));
    const made = await change();
    const propagation = createPropagation(sts, clock);
    expect(await propagation.wait(made, PATIENCE.timeout)).toMatchObject({ propagated: true });
    expect(await propagation.look({ ...made, incarnation: 'another' })).toMatchObject({ propagated: false });
  });

  it('waits for nobody who has left', async () => {
    const gone = await point('gone');
    const made = await change();
    const propagation = createPropagation(sts, clock);
    expect(await propagation.look(made)).toMatchObject({ propagated: false });
    await gone.view[Symbol.asyncDispose]();
    expect(await propagation.look(made)).toEqual({ propagated: true, points: 0, missing: [] });
  });
});
