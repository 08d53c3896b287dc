// kill -9 of each process, Redis and Postgres during traffic: every released decision is in the ledger once, nothing gets
// through after its revocation was applied, and the chain verifies.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeZone, openGovernedZone } from '../../bench/proofs/governed-zone.ts';
import { killColumns, killRow, startKillDrill, type DrillEnd, type KillDrill } from '../../bench/proofs/kill-drill.ts';
import { drillSettings, killedParts } from '../../bench/proofs/kill-proof.ts';
import { proofTable } from '../../bench/proofs/proof.ts';
import { startFaultInstallation } from './fault-installation.ts';

/** Long enough for clients to meet it, short enough for a suite. */
const downMs = 700;
const cleanup = new AsyncDisposableStack();
const rows: (string | number)[][] = [];
let drill: KillDrill;
let end: DrillEnd;

beforeAll(async () => {
  const installation = cleanup.use(await startFaultInstallation(drillSettings));
  const zone = cleanup.use(await openGovernedZone(installation, await makeZone(installation)));
  drill = await startKillDrill({ installation, zone, seed: 1, connections: 8 });
});

afterAll(async () => cleanup.disposeAsync());

describe('kill -9 during traffic', () => {
  it.each(killedParts)(
    'of %s: everything works again, and an end asked for meanwhile is applied everywhere',
    async (part) => {
      const row = await drill.kill(part, downMs);
      rows.push(killRow(row));
      expect(row.sent).toBeGreaterThan(10);
    },
    120_000,
  );

  it('leaves every released decision in the ledger, and every refusal that was decided', async () => {
    end = await drill.finish();
    process.stdout.write(`\n${proofTable({ columns: killColumns, rows })}\n`);
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
