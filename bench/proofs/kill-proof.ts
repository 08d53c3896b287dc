// The kill drill as a proof: as many rounds as one likes, each killing every part of an installation in an order of its own.
import { makeZone, openGovernedZone } from './governed-zone.ts';
import { startProofInstallation, type PartName } from './installation.ts';
import { drillProblems, killColumns, killRow, startKillDrill, type KillRow } from './kill-drill.ts';
import type { Proof } from './proof.ts';
import { seededRandom } from './seeded-random.ts';

export const killedParts: readonly PartName[] = [
  'sts',
  'gateway',
  'coordinator',
  'api',
  'audit',
  'redis',
  'postgres',
  'opa',
];

/** What a drill's installation is told beside the ordinary. */
export const drillSettings = {
  // Low, so that a dead enforcement point is given up soon; beats come each second, so not much lower either.
  settings: { REVOCATION_MAX_STALENESS_MS: '3000' },
  overrides: { sts: { STS_MINT_RATE_LIMIT_PER_MIN: '100000' } },
} as const;

const connections = 8;
const longestDownMs = 2000;

export const killProof: Proof = {
  name: 'kill-drill',
  sentence:
    'Whatever is killed under traffic, every released decision is in the ledger once and nothing revoked gets through.',
  unit: 'rounds, each killing every part once',
  defaultSize: 3,
  run: async ({ size, seed, place, say }) => {
    const random = seededRandom(seed);
    await using installation = await startProofInstallation({ ...place, ...drillSettings });
    await using zone = await openGovernedZone(installation, await makeZone(installation));
    const drill = await startKillDrill({ installation, zone, seed, connections });
    const rows: KillRow[] = [];
    for (let round = 1; round <= size; round += 1) {
      for (const part of shuffled(killedParts, random)) {
        const row = await drill.kill(part, random() * longestDownMs);
        say(`round ${round} of ${size}: killed ${part}, all well after ${Math.round(row.recoveredMs)} ms`);
        rows.push(row);
      }
    }
    const end = await drill.finish();
    return {
      columns: killColumns,
      rows: rows.map(killRow),
      facts: {
        requests: end.sent.length,
        ledgerEvents: end.ledger.length,
        chained: end.chain.checked,
        outcomesLostWithTheirGateway: end.judgement.lostOutcomes.length,
      },
      problems: drillProblems(end),
    };
  },
};

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const drawn = values.map((value) => ({ value, at: random() }));
  return drawn.toSorted((a, b) => a.at - b.at).map(({ value }) => value);
}
