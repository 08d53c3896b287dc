// How soon a change is everywhere, on two STS and two Gateways, as a proof: when the call that waits has been answered, no
// replica does what was before.
import { makeZone, openGovernedZone } from './governed-zone.ts';
import { startProofInstallation } from './installation.ts';
import { reachKinds, startReachDrill } from './replica-reach.ts';
import type { Reach } from './replica-reach.ts';
import type { Proof } from './proof.ts';

/** What the drill's installation is told beside the ordinary. */
export const reachSettings = {
  replicas: { sts: 2, gateway: 2 },
  overrides: { sts: { STS_MINT_RATE_LIMIT_PER_MIN: '1000000', OPA_TIMEOUT_MS: '5000' } },
} as const;

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

function reachRows(reaches: readonly Reach[]): (readonly (string | number)[])[] {
  return reachKinds.map((kind) => {
    const own = reaches.filter((reach) => reach.kind === kind);
    const times = own.map(({ elapsedMs }) => elapsedMs);
    const points = Math.min(...own.map((reach) => reach.points));
    return [kind, own.length, points, percentile(times, 0.5), percentile(times, 0.99), percentile(times, 1)];
  });
}

export const replicaProof: Proof = {
  name: 'replicas',
  sentence: 'When a policy, a key or a revocation is said to be everywhere, no replica does what was before.',
  unit: 'rounds, each with a change of every kind',
  defaultSize: 30,
  run: async ({ size, place, say }) => {
    await using installation = await startProofInstallation({ ...place, ...reachSettings });
    await using zone = await openGovernedZone(installation, await makeZone(installation));
    const drill = await startReachDrill(installation, zone);
    const reaches: Reach[] = [];
    for (let round = 1; round <= size; round += 1) {
      for (const kind of reachKinds) reaches.push(await drill.change(kind));
      if (round % 5 === 0) say(`round ${round} of ${size}`);
    }
    return {
      columns: ['change', 'times', 'replicas', 'p50 ms', 'p99 ms', 'max ms'],
      rows: reachRows(reaches),
      facts: { changes: reaches.length, askedAfterwards: drill.asked(), problems: drill.problems.length },
      problems: drill.problems.slice(0, 20),
    };
  },
};
