// Runs worlds against the STS's flows in this process: `node flow-worlds.ts <first> <exchanges> <seed>` prints a tally a
// line, so that a proof can run one such process for each core and see how far they are.
import { pathToFileURL } from 'node:url';
import { emptyTally, runWorld } from './compare.ts';
import type { Tally } from './compare.ts';
import { createFlowSubject } from './flow-subject.ts';
import { randomOf } from './seeded.ts';
import { randomWorld } from './random-world.ts';

/** Long enough for mandates of mandates, short enough that a world is soon another. */
const stepsPerWorld = 24;
/** Worlds between two lines of progress: about a second. */
const worldsPerLine = 150;
/** One is enough to look into, ten show whether they are alike. */
const maxDivergences = 10;

export interface FlowWorlds {
  /** Number of the first world; worlds are told apart by seed and number. */
  readonly first: number;
  /** At least as many exchanges. */
  readonly exchanges: number;
  readonly seed: number;
}

/** Runs worlds until so many exchanges were compared, or too many differ. Yields the tally so far. */
export async function* runFlowWorlds({ first, exchanges, seed }: FlowWorlds): AsyncGenerator<Tally, Tally> {
  const tally = emptyTally();
  for (let at = 0; tally.exchanges < exchanges && tally.divergences.length < maxDivergences; at += 1) {
    const index = first + at;
    const world = randomWorld(randomOf(seed, index), { steps: stepsPerWorld, changing: true });
    const label = `seed ${seed}, world ${index}`;
    await runWorld(world, createFlowSubject(world), { tally, label, passedSeconds: () => 0 });
    if (at % worldsPerLine === worldsPerLine - 1) yield tally;
  }
  return tally;
}

async function main([first, exchanges, seed]: readonly string[]): Promise<void> {
  const worlds = runFlowWorlds({ first: Number(first), exchanges: Number(exchanges), seed: Number(seed) });
  for (let next = await worlds.next(); ; next = await worlds.next()) {
    process.stdout.write(`${JSON.stringify(next.value)}\n`);
    if (next.done) return;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2));
