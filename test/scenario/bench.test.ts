// The bench measures what it says: a run of a moment on a small installation, without judging any figure.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { conclusions, plainTable, writeReport } from '../../bench/report.ts';
import { runBench } from '../../bench/run.ts';
import { allowAll, startSts } from '../integration/sts/sts-installation.ts';

const services = ['sts', 'audit', 'gateway'] as const;

async function startGoverned() {
  const sts = await startSts({ services });
  const { upstreamPort } = sts.installation;
  const zone = await sts.zone();
  const application = await sts.application(zone);
  const resource = await sts.resource(zone, {
    identifier: 'reports',
    scopes: ['read'],
    upstreamUrl: `http://127.0.0.1:${upstreamPort}`,
    operations: [{ method: 'GET', path: '/**', scope: 'read' }],
    operationEnforcement: true,
  });
  await sts.policy(zone, [allowAll]);
  const reply = await sts.token(application, { resource: 'reports', scope: 'read' });
  return { sts, mount: `/r/z-${zone.id}/r-${resource}/reports`, mandate: String(reply.body['access_token']) };
}

test('a short bench measures all of its targets, answers them all with 200 and writes its report', async () => {
  const { sts, mount, mandate } = await startGoverned();
  await using cleanup = new AsyncDisposableStack();
  const { installation } = cleanup.use(sts);
  const report = await runBench({
    gatewayPort: Number(new URL(installation.urls.gateway).port),
    pids: Object.fromEntries(services.map((name) => [name, installation.process(name).pid])),
    governed: { mount, mandate },
    tlsFolder: installation.tlsFolder,
    upstreamPort: installation.upstreamPort,
    redisUrl: installation.redis.running().url,
    seconds: 0.3,
    warmUpSeconds: 0.1,
    rounds: 1,
    profile: false,
    say: () => undefined,
  });
  expect(report.measures.map(({ name }) => name)).toEqual([
    'bare proxy',
    'governed, verdict reused',
    'governed, decided each time',
    'bare proxy, one connection',
    'governed, verdict reused, one connection',
    'governed, decided, one connection',
  ]);
  for (const { load, ledgerLag, name } of report.measures) {
    expect(load.requests).toBeGreaterThan(0);
    expect(ledgerLag === null).toBe(name.startsWith('bare'));
  }
  expect(report.ingestion.perSecond).toBeGreaterThan(0);
  const file = writeReport(mkdtempSync(join(tmpdir(), 'bench-')), report);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(report);
  expect(plainTable(report)).toContain('governed, verdict reused');
  expect(conclusions(report).join('\n')).toContain('verdict reused / bare proxy');
});
