// Rotations of zone keys and of ZONE_KEK under traffic over two STS and two Gateways: nothing valid is refused, nothing that a
// retired key signed is accepted, whatever it claims.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeZone, openGovernedZone } from '../../bench/proofs/governed-zone.ts';
import { keyColumns, keyRow, startKeyDrill, type KeyDrill, type KeyDrillEnd } from '../../bench/proofs/key-drill.ts';
import { keyDrillSettings, rotationKinds } from '../../bench/proofs/key-proof.ts';
import { proofTable } from '../../bench/proofs/proof.ts';
import { startFaultInstallation } from './fault-installation.ts';

const cleanup = new AsyncDisposableStack();
const rows: (string | number)[][] = [];
let drill: KeyDrill;
let end: KeyDrillEnd;

beforeAll(async () => {
  const installation = cleanup.use(await startFaultInstallation(keyDrillSettings));
  const zone = cleanup.use(await openGovernedZone(installation, await makeZone(installation)));
  drill = startKeyDrill({ installation, zone, seed: 1, connections: 4 });
}, 180_000);

afterAll(async () => cleanup.disposeAsync());

describe('a rotation during traffic', () => {
  it.each(rotationKinds)(
    'of kind "%s" reaches every replica',
    async (kind) => {
      const row = await drill.rotate(kind);
      rows.push(keyRow(row));
      expect(row.served).toBeGreaterThan(5);
    },
    // Services are started again up to fourteen times, one after another, on whatever machine this is.
    420_000,
  );

  it('refuses nothing that a living key signed', async () => {
    end = await drill.finish();
    process.stdout.write(`\n${proofTable({ columns: keyColumns, rows })}\n`);
    expect(end.judgement.failed).toEqual([]);
  }, 120_000);

  it('accepts nothing that a retired key signed, forgeries with any `rev` included', () => {
    expect(end.judgement.accepted).toEqual([]);
    expect(end.problems).toEqual([]);
    expect(end.judgement.refused).toBeGreaterThan(0);
  });

  it('signs with no key before its time', () => {
    expect(end.judgement.early).toEqual([]);
  });
});
