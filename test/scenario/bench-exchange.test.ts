// The bench of the token endpoint measures what it says: a run of a moment, without judging any figure.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exchangeConclusions, plainTable, writeExchangeReport } from '../../bench/report.ts';
import { runExchangeBench } from '../../bench/token-exchange.ts';
import { allowAll, form, grantType, startSts } from '../integration/sts/sts-installation.ts';

const services = ['sts', 'audit'] as const;

test('a short bench of the token endpoint measures all of its targets and writes its report', async () => {
  await using sts = await startSts({ services, overrides: { sts: { STS_MINT_RATE_LIMIT_PER_MIN: '1000000' } } });
  const { installation } = sts;
  const zone = await sts.zone();
  const application = await sts.application(zone);
  await sts.resource(zone, { identifier: 'reports', scopes: ['read'] });
  await sts.policy(zone, [allowAll]);
  const own = { grant_type: grantType, zone_id: zone.id, application_id: application.id };
  const asked = { ...own, client_secret: application.secret, resource: 'reports', scope: 'read' };
  const { body } = await sts.token(application, { resource: 'reports', scope: 'read' });
  const subject = {
    subject_token: String(body['access_token']),
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  };
  const report = await runExchangeBench({
    stsPort: Number(new URL(sts.url).port),
    pids: Object.fromEntries(services.map((name) => [name, installation.process(name).pid])),
    forms: { ambient: form(asked), perCall: form({ ...asked, ...subject }) },
    tlsFolder: installation.tlsFolder,
    redisUrl: installation.redis.running().url,
    seconds: 0.3,
    warmUpSeconds: 0.1,
    rounds: 1,
    profile: false,
    say: () => undefined,
  });
  expect(report.measures.map(({ name }) => name)).toEqual([
    'metadata (baseline)',
    'per_call',
    'ambient',
    'per_call, one connection',
    'ambient, one connection',
  ]);
  for (const { load } of report.measures) expect(load.requests).toBeGreaterThan(0);
  const file = writeExchangeReport(mkdtempSync(join(tmpdir(), 'bench-')), report);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(report);
  expect(plainTable(report)).toContain('per_call');
  expect(exchangeConclusions(report)).toHaveLength(2);
}, 120_000);
