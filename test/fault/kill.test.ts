// kill -9 of each process, Redis and Postgres during traffic: every released decision is in the ledger once, nothing gets
// through after its revocation was applied, and the chain verifies.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeZone, openGovernedZone } from '../../bench/proofs/governed-zone.ts';
import type { PartName } from '../../bench/proofs/installation.ts';
import {
  killTable,
  startKillDrill,
  type DrillEnd,
  type KillDrill,
  type KillRow,
} from '../../bench/proofs/kill-drill.ts';
import { startFaultInstallation } from './fault-installation.ts';

const parts: readonly PartName[] = ['sts', 'gateway', 'coordinator', 'api', 'audit', 'redis', 'postgres', 'opa'];
const cleanup = new AsyncDisposableStack();
const rows: KillRow[] = [];
let drill: KillDrill;
let end: DrillEnd;

beforeAll(async () => {
  const installation = cleanup.use(
    await startFaultInstallation({
      // Low, so that a dead enforcement point is given up soon; beats come each second, so not much lower either.
      settings: { REVOCATION_MAX_STALENESS_MS: '3000' },
      overrides: { sts: { STS_MINT_RATE_LIMIT_PER_MIN: '100000' } },
    }),
  );
  const zone = cleanup.use(await openGovernedZone(installation, await makeZone(installation)));
  drill = await startKillDrill({ installation, zone, seed: 1, connections: 8, downMs: 700 });
});

afterAll(async () => {
  await cleanup.disposeAsync();
});

describe('kill -9 during traffic', () => {
  it.each(parts)(
    'of %s: everything works again, and an end asked for meanwhile is applied everywhere',
    async (part) => {
      const row = await drill.kill(part);
      rows.push(row);
      expect(row.sent).toBeGreaterThan(10);
    },
    120_000,
  );

  it('leaves every released decision in the ledger, and every refusal that was decided', async () => {
    end = await drill.finish();
    process.stdout.write(`\n${killTable(rows)}\n`);
    expect(end.judgement.missing).toEqual([]);
  }, 120_000);

  it('lets nothing through twice, after its use or after its revocation, and writes nothing twice', () => {
    expect(end.judgement.wrong).toEqual([]);
  });

  it('loses an outcome only with the Gateway that was about to write it', () => {
    expect(end.unexplainedLosses).toEqual([]);
  });

  it('leaves a chain that verifies, every event in it', () => {
    expect(end.chain.findings).toEqual([]);
    expect(end.chain.checked).toBeGreaterThanOrEqual(end.ledger.length);
  });
});
