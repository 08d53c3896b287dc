// What a Gateway does while something it needs is away: what it may still serve it serves, the rest it refuses by the name
// of what is missing, and it recovers by itself.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { privatePostgres, privateRedis } from '../../support/private-components.ts';
import { startBed, until, type Answer, type Bed, type CallOptions } from './gateway-bed.ts';

const reasonOf = ({ status, body }: Answer): string =>
  status === 200 ? 'served' : (JSON.parse(body) as { error: string }).error;

describe('the STS', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await startBed({ env: { STS_TIMEOUT: '500ms' } });
  });
  afterAll(async () => await bed[Symbol.asyncDispose]());
  beforeEach(async () => {
    bed.sts.isAway = false;
    bed.sts.isFalse = false;
    bed.sts.decide = () => ({ allow: { upstreamUrl: bed.upstream.url } });
    await until(() => bed.sts.openStreams === 4, 'four streams to the one address');
    bed.upstream.seen.length = 0;
  });
  const away = async (): Promise<void> => {
    bed.sts.isAway = true;
    bed.sts.breakStreams();
    await until(async () => reasonOf(await bed.call()) === 'sts_unavailable', 'the loss of all streams');
  };

  test('away: reusable verdicts serve until their time, everything else is 503, and it comes back by itself', async () => {
    bed.sts.decide = () => ({ allow: { upstreamUrl: bed.upstream.url, reusable: true, validForMs: 3000 } });
    const token = bed.sts.mandate(bed.zoneId);
    await until(async () => {
      const before = bed.sts.questions.length;
      await bed.call({ token });
      return bed.sts.questions.length === before;
    }, 'reuse');
    await bed.call({ token });
    bed.sts.isAway = true;
    bed.sts.breakStreams();
    await until(
      async () => reasonOf(await bed.call({ token, path: '/other' })) === 'sts_unavailable',
      'the loss of all streams',
    );
    expect(reasonOf(await bed.call({ token }))).toBe('served');
    await until(async () => reasonOf(await bed.call({ token })) === 'sts_unavailable', 'the end of the verdict');
    bed.sts.isAway = false;
    await until(async () => reasonOf(await bed.call({ token })) === 'served', 'recovery');
  });

  test('away: a single-use mandate is refused and not spent', async () => {
    await away();
    const iat = Math.floor(Date.now() / 1000) + 1;
    const token = bed.sts.mandate(bed.zoneId, { use: 'per_call', aud: ['res'], iat, exp: iat + 300 });
    expect(reasonOf(await bed.call({ token }))).toBe('sts_unavailable');
    bed.sts.isAway = false;
    await until(async () => reasonOf(await bed.call()) === 'served', 'recovery');
    expect(reasonOf(await bed.call({ token }))).toBe('served');
  });

  test('silent: the call is refused at its deadline, recorded, and sends nothing', async () => {
    bed.sts.decide = () => 'silent';
    const requestId = newId();
    expect(reasonOf(await bed.call({ headers: { 'x-request-id': requestId } }))).toBe('sts_unavailable');
    expect(bed.upstream.seen).toEqual([]);
    expect(await bed.events({ request_id: requestId })).toMatchObject([
      { event_type: 'gateway.decision', decision: 'deny', evaluation_status: 'sts_unavailable' },
    ]);
  });

  test('lost while it decides: the call is refused, not asked twice', async () => {
    bed.sts.decide = () => {
      bed.sts.breakStreams();
      return 'silent';
    };
    const asked = bed.sts.questions.length;
    expect(reasonOf(await bed.call())).toBe('sts_unavailable');
    expect(bed.sts.questions.length - asked).toBe(1);
  });

  test('without the shared key is no STS: nothing is asked of it', async () => {
    bed.sts.isFalse = true;
    bed.sts.breakStreams();
    await until(async () => reasonOf(await bed.call()) === 'sts_unavailable', 'the loss of all streams');
    const { length } = bed.sts.questions;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(reasonOf(await bed.call())).toBe('sts_unavailable');
    expect(bed.sts.questions).toHaveLength(length);
    expect(bed.sts.hellos.every(({ proven }) => proven)).toBe(true);
  });

  test('the answer that a caller no longer waits for sends nothing', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    bed.sts.decide = async () => {
      await held;
      return { allow: { upstreamUrl: bed.upstream.url } };
    };
    const asked = bed.sts.questions.length;
    const controller = new AbortController();
    const call = bed.call({ signal: controller.signal }).catch(() => undefined);
    await until(() => bed.sts.questions.length > asked, 'the question');
    controller.abort();
    await call;
    release();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(bed.upstream.seen).toEqual([]);
  });
});

describe('the stores', () => {
  let bed: Bed;
  const stack = new AsyncDisposableStack();
  let redis: Awaited<ReturnType<typeof privateRedis>>;
  let postgres: Awaited<ReturnType<typeof privatePostgres>>;

  beforeAll(async () => {
    redis = stack.use(await privateRedis());
    postgres = stack.use(await privatePostgres());
    bed = stack.use(
      await startBed({
        redisUrl: redis.running().url,
        postgres: postgres.running(),
        // Longer than a loaded machine takes to stop Postgres: a call right after that still falls within it.
        env: { REVOCATION_MAX_STALENESS_MS: '8000' },
      }),
    );
  });
  afterAll(async () => await stack.disposeAsync());

  const outcome = async (options?: CallOptions): Promise<string> => reasonOf(await bed.call(options));
  const perCall = (): string => {
    const iat = Math.floor(Date.now() / 1000) + 1;
    return bed.sts.mandate(bed.zoneId, { use: 'per_call', aud: ['res'], iat, exp: iat + 300 });
  };
  const openEvents = async (): Promise<() => string> => {
    bed.upstream.handle = (_request, response) => {
      response.writeHead(200);
      response.write('first');
    };
    const { response } = await bed.open();
    let ended = 'open';
    response.on('data', () => undefined);
    response.on('error', () => (ended = 'broken'));
    response.on('end', () => (ended = 'whole'));
    bed.upstream.handle = (_request, other) => void other.end('from upstream');
    return () => ended;
  };

  test('Redis away: ambient calls are served with evidence in the journal, single-use ones are 503, revocation works', async () => {
    expect(await outcome()).toBe('served');
    await redis.running().stop();
    const sid = newId();
    const token = bed.sts.mandate(bed.zoneId, { sid, root_sid: sid });
    const served: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      const requestId = newId();
      expect(await outcome({ token, headers: { 'x-request-id': requestId } })).toBe('served');
      served.push(requestId);
    }
    expect(await outcome({ token: perCall() })).toBe('replay_store_unavailable');
    await bed.revoke([{ kind: 'session', anchor: sid }]);
    await until(async () => (await outcome({ token })) === 'invalid_token', 'the revocation by direct read');
    const refused = newId();
    await outcome({ token, headers: { 'x-request-id': refused } });
    await redis.restart();
    await until(async () => (await outcome({ token: perCall() })) === 'served', 'single use again');
    for (const requestId of [...served, refused]) {
      await until(async () => (await bed.events({ request_id: requestId })).length > 0, 'evidence out of the journal');
    }
  });

  test('Postgres away: served until revocations are stale, then 503 and every open answer is cut, and back', async () => {
    expect(await outcome()).toBe('served');
    const ended = await openEvents();
    await postgres.running().stop();
    expect(await outcome()).toBe('served');
    await until(async () => (await outcome()) === 'revocation_stale', 'staleness');
    await until(() => ended() === 'broken', 'the cut');
    const ready = await bed.call({ token: null, resource: null, path: '/ready' });
    expect([ready.status, JSON.parse(ready.body)]).toMatchObject([503, { reason: 'revocation_stale' }]);
    await postgres.restart();
    await until(async () => (await outcome()) === 'served', 'recovery');
  });

  test('both away: 503, and nothing reaches an upstream any more', async () => {
    await redis.running().stop();
    await postgres.running().stop();
    await until(async () => (await outcome()) === 'revocation_stale', 'staleness');
    bed.upstream.seen.length = 0;
    expect(await outcome()).toBe('revocation_stale');
    expect(bed.upstream.seen).toEqual([]);
    await redis.restart();
    await postgres.restart();
    await until(async () => (await outcome()) === 'served', 'recovery');
  });
});
