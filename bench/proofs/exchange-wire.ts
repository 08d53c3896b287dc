// The reference model of exchange against a real STS at its token endpoint, on real stores and OPA: the suite's own
// comparison, at the size of a proof.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exchangeReport } from './exchange-tally.ts';
import type { ExchangeTally } from './exchange-tally.ts';
import type { Proof } from './proof.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export const exchangeWireProof: Proof = {
  name: 'exchange-wire',
  sentence: 'A real STS answers every exchange of random worlds as the reference model says.',
  unit: 'exchanges over the wire compared with the model',
  defaultSize: 20_000,
  async run({ size, seed, place, say }) {
    mkdirSync(place.folder, { recursive: true });
    const report = join(place.folder, 'exchange-wire.json');
    const settings = {
      CARACAL_WIRE_EXCHANGES: String(size),
      CARACAL_WIRE_SEED: String(seed),
      CARACAL_WIRE_REPORT: report,
    };
    say('starting an STS of its own; this takes as long as the exchanges do');
    const args = ['dev/launch.mjs', 'test', 'exchange-model', '-t', 'over the wire'];
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...place.environment, ...settings },
      // The suite's own lines are progress here, and the table alone is the result.
      stdio: ['ignore', process.stderr, process.stderr],
    });
    await new Promise((resolve) => child.once('close', resolve));
    return exchangeReport([JSON.parse(readFileSync(report, 'utf8')) as ExchangeTally], size);
  },
};
