import { describe, expect, test } from 'vitest';
import { createMetrics, silentMetrics } from './index.ts';

async function text(metrics: ReturnType<typeof createMetrics>): Promise<string> {
  return (await metrics.render()).text;
}

describe('metrics', () => {
  test('carry the name of the service and Prometheus types', async () => {
    const metrics = createMetrics('sts', { process: false });
    metrics.counter({ name: 'mints_total', help: 'Mints.', labels: ['outcome'] }).inc({ outcome: 'granted' }, 2);
    metrics.gauge({ name: 'streams', help: 'Streams.' }).set(3);
    metrics.histogram({ name: 'exchange_seconds', help: 'Time.', buckets: [0.1, 1] }).observe(0.5);
    const page = await text(metrics);
    expect(page).toContain('# TYPE caracal_sts_mints_total counter');
    expect(page).toContain('caracal_sts_mints_total{outcome="granted"} 2');
    expect(page).toContain('caracal_sts_streams 3');
    expect(page).toContain('caracal_sts_exchange_seconds_bucket{le="1"} 1');
    expect((await metrics.render()).contentType).toMatch(/^text\/plain/);
  });

  test('tell about the process unless told not to', async () => {
    expect(await text(createMetrics('api'))).toContain('caracal_api_process_cpu_seconds_total');
    expect(await text(silentMetrics())).not.toContain('process_cpu');
  });

  test('are read at the scrape when they have a reader', async () => {
    const metrics = createMetrics('sts', { process: false });
    let size = 1;
    metrics.gauge({ name: 'cache_entries', help: 'Entries.', read: () => size });
    size = 7;
    expect(await text(metrics)).toContain('caracal_sts_cache_entries 7');
  });

  test('keep at most 100 values a label, all later ones counted together', async () => {
    const metrics = createMetrics('gateway', { process: false });
    const first = metrics.counter({ name: 'calls_total', help: 'Calls.', labels: ['reason'] });
    const second = metrics.counter({ name: 'calls_total', help: 'Calls.', labels: ['reason'] });
    for (let at = 0; at < 500; at += 1) (at % 2 === 0 ? first : second).inc({ reason: `r${at}` });
    first.inc({ reason: 'r0' });
    const lines = (await text(metrics)).split('\n').filter((line) => line.startsWith('caracal_gateway_calls_total{'));
    expect(lines).toHaveLength(101);
    expect(lines).toContain('caracal_gateway_calls_total{reason="other"} 400');
    expect(lines).toContain('caracal_gateway_calls_total{reason="r0"} 2');
  });

  test('never carry long values or labels nobody declared', async () => {
    const metrics = createMetrics('gateway', { process: false });
    const calls = metrics.counter({ name: 'calls_total', help: 'Calls.', labels: ['reason'] });
    calls.inc({ reason: 'x'.repeat(65), path: '/secret' } as { reason: string });
    calls.inc();
    const page = await text(metrics);
    expect(page).toContain('{reason="other"} 1');
    expect(page).toContain('{reason=""} 1');
    expect(page).not.toContain('secret');
  });

  test('declared twice are one series, and differently are refused', async () => {
    const metrics = createMetrics('sts', { process: false });
    metrics.counter({ name: 'a_total', help: 'A.', labels: ['x'] }).inc({ x: '1' });
    metrics.counter({ name: 'a_total', help: 'A.', labels: ['x'] }).inc({ x: '1' });
    expect(await text(metrics)).toContain('caracal_sts_a_total{x="1"} 2');
    expect(() => metrics.counter({ name: 'a_total', help: 'A.', labels: ['y'] })).toThrow(RangeError);
    expect(() => metrics.gauge({ name: 'a_total', help: 'A.', labels: ['x'] })).toThrow(RangeError);
    expect(() => metrics.counter({ name: 'Bad-Name', help: 'B.' })).toThrow(RangeError);
  });
});
