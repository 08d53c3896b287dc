// Key rotations of every kind as a proof: as many rounds as one likes, on two STS and two Gateways.
import { makeZone, openGovernedZone } from './governed-zone.ts';
import { startProofInstallation } from './installation.ts';
import {
  keyColumns,
  keyProblems,
  keyRow,
  leadSeconds,
  startKeyDrill,
  type KeyRow,
  type RotationKind,
} from './key-drill.ts';
import type { Proof } from './proof.ts';

export const rotationKinds: readonly RotationKind[] = [
  'plain',
  'overlapping',
  'leaked key',
  'another KEK',
  'shared keys',
];

/** What the drill's installation is told beside the ordinary. */
export const keyDrillSettings = {
  replicas: { sts: 2, gateway: 2 },
  overrides: {
    // A loaded machine is no slow policy.
    sts: { STS_MINT_RATE_LIMIT_PER_MIN: '1000000', OPA_TIMEOUT_MS: '5000' },
    // Dev may publish for less than verifiers may cache; that those look again for a key they do not know is what is shown.
    api: { ZONE_KEY_LEAD_SECONDS: String(leadSeconds) },
  },
} as const;

const connections = 8;

export const keyProof: Proof = {
  name: 'key-rotation',
  sentence:
    'Whatever key is rotated under traffic, nothing a living key signed is refused and nothing a retired one signed is accepted.',
  unit: 'rounds, each with a rotation of every kind; of the shared keys in the first',
  defaultSize: 3,
  run: async ({ size, seed, place, say }) => {
    await using installation = await startProofInstallation({ ...place, ...keyDrillSettings });
    await using zone = await openGovernedZone(installation, await makeZone(installation));
    const drill = startKeyDrill({ installation, zone, seed, connections });
    const rows: KeyRow[] = [];
    for (let round = 1; round <= size; round += 1) {
      // The ledger verifies under the key in use and the one before: shared keys are rotated once in its life.
      for (const kind of rotationKinds.filter((each) => each !== 'shared keys' || round === 1)) {
        const row = await drill.rotate(kind);
        say(`round ${round} of ${size}: ${kind}, known everywhere after ${Math.round(row.appliedMs)} ms`);
        rows.push(row);
      }
    }
    const end = await drill.finish();
    const { judgement } = end;
    return {
      columns: keyColumns,
      rows: rows.map(keyRow),
      facts: {
        uses: end.uses.length,
        served: judgement.served,
        refusedAsRetired: judgement.refused,
        failedVerifications: judgement.failed.length,
        acceptedAfterRetirement: judgement.accepted.length,
        unavailable: judgement.unavailable,
      },
      problems: keyProblems(end),
    };
  },
};
