import { fail } from '#mesh/failure';
import { describe, expect, test } from 'vitest';
import { createHealth } from './index.ts';

const ok = async (): Promise<void> => {};

describe('readiness', () => {
  test('needs every dependency and names each', async () => {
    expect(await createHealth({ checks: { postgres: ok, redis: ok } }).ready()).toEqual({
      ready: true,
      dependencies: { postgres: 'ok', redis: 'ok' },
    });
    expect(await createHealth({ checks: {} }).ready()).toEqual({ ready: true, dependencies: {} });
  });

  test('gives stable reason codes and keeps what went wrong to the log', async () => {
    const seen: [string, unknown][] = [];
    const broken = new Error('connect ECONNREFUSED 10.1.2.3:5432');
    const health = createHealth({
      checks: {
        redis: ok,
        postgres: async () => {
          throw broken;
        },
        revocation: () => {
          throw fail('revocation_stale', { privateDetail: 'head 5, applied 3' });
        },
      },
      onFailed: (name, error) => seen.push([name, error]),
    });
    const answer = await health.ready();
    expect(answer).toEqual({
      ready: false,
      reason: 'unavailable',
      dependencies: { redis: 'ok', postgres: 'unavailable', revocation: 'revocation_stale' },
    });
    expect(JSON.stringify(answer)).not.toMatch(/10\.1\.2\.3|applied/);
    expect(seen.map(([name]) => name).toSorted()).toEqual(['postgres', 'revocation']);
    expect(seen.find(([name]) => name === 'postgres')?.[1]).toBe(broken);
  });

  test('answers within its budget and tells a check that nobody waits any more', async () => {
    let signal: AbortSignal | undefined;
    const health = createHealth({
      budgetMs: 30,
      checks: {
        stuck: (given) => {
          signal = given;
          return new Promise(() => {});
        },
        fine: ok,
      },
    });
    expect(await health.ready()).toEqual({
      ready: false,
      reason: 'timeout',
      dependencies: { stuck: 'timeout', fine: 'ok' },
    });
    expect(signal?.aborted).toBe(true);
  });

  test('survives a check that fails after its time', async () => {
    const late = Promise.withResolvers<void>();
    const health = createHealth({ budgetMs: 10, checks: { late: () => late.promise } });
    expect((await health.ready()).reason).toBe('timeout');
    late.reject(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('runs the checks once for all who ask meanwhile, and anew afterwards', async () => {
    let runs = 0;
    const gate = Promise.withResolvers<void>();
    const health = createHealth({
      checks: {
        store: async () => {
          runs += 1;
          await gate.promise;
        },
      },
    });
    const asked = [health.ready(), health.ready(), health.ready()];
    gate.resolve();
    await Promise.all(asked);
    expect(runs).toBe(1);
    await health.ready();
    expect(runs).toBe(2);
  });
});

describe('draining', () => {
  test('is not ready any more, although it lives and its dependencies are well', async () => {
    const health = createHealth({ checks: { postgres: ok } });
    expect([health.live(), health.isDraining()]).toEqual([true, false]);
    health.drain();
    expect([health.live(), health.isDraining()]).toEqual([true, true]);
    expect(await health.ready()).toEqual({ ready: false, reason: 'draining', dependencies: { postgres: 'ok' } });
  });

  test('shows in an answer that was already being looked for', async () => {
    const gate = Promise.withResolvers<void>();
    const health = createHealth({ checks: { postgres: () => gate.promise } });
    const asked = health.ready();
    health.drain();
    gate.resolve();
    expect((await asked).reason).toBe('draining');
  });

  test('is told once to everyone who listens, late comers included', () => {
    const health = createHealth({ checks: {} });
    const told: string[] = [];
    health.onDrain(() => told.push('early'));
    const stop = health.onDrain(() => told.push('stopped'));
    stop();
    health.drain();
    health.drain();
    health.onDrain(() => told.push('late'));
    expect(told).toEqual(['early', 'late']);
  });
});
