// The reference model of exchange against the STS's flows, a process for each core: what may never widen is tried a million
// times and each answer compared with the rules read a second time.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { exchangeReport } from './exchange-tally.ts';
import type { ExchangeTally } from './exchange-tally.ts';
import type { Proof, ProofRequest } from './proof.ts';

const program = join(
  dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  'test/conformance/exchange-model/flow-worlds.ts',
);
/** Worlds of one process never meet those of the next: no process runs so many. */
const worldsApart = 10_000_000;
const progressMs = 5000;

export const exchangeFlowProof: Proof = {
  name: 'exchange-flow',
  sentence:
    'In random worlds of sessions, delegations, users and actors every exchange is what the reference model says.',
  unit: 'exchanges compared with the model',
  defaultSize: 1_000_000,
  async run(request) {
    const processes = availableParallelism();
    const share = Math.ceil(request.size / processes);
    const tallies: ExchangeTally[] = [];
    const progress = setInterval(() => say(request, tallies), progressMs);
    try {
      const worlds = Array.from({ length: processes }, (_, at) => at);
      await Promise.all(
        worlds.map(async (at) =>
          runProcess([at * worldsApart, share, request.seed], {
            environment: request.place.environment,
            onTally: (tally) => (tallies[at] = tally),
          }),
        ),
      );
    } finally {
      clearInterval(progress);
    }
    return exchangeReport(tallies, request.size);
  },
};

function say({ say: tell, size }: ProofRequest, tallies: readonly ExchangeTally[]): void {
  const done = tallies.reduce((sum, tally) => sum + tally.exchanges, 0);
  tell(`${done} of ${size} exchanges compared`);
}

async function runProcess(
  args: readonly number[],
  about: { readonly environment: NodeJS.ProcessEnv; readonly onTally: (tally: ExchangeTally) => void },
): Promise<void> {
  const child = spawn(process.execPath, [program, ...args.map(String)], {
    env: { ...about.environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) about.onTally(JSON.parse(line) as ExchangeTally);
  const code = await ended;
  if (code !== 0) throw new Error(`a process of the comparison ended with ${code}`);
}
