// The proof of replay at a size for every run of the suite.
import { mkdtempSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import { policyReplayProof } from '../../bench/proofs/policy-replay.ts';
import { recordProcess } from '../../dev/test/run-folder.ts';
import { testEndpoints } from '../support/stack.ts';

it('a replay finds exactly the flips that a model of the candidate says', async () => {
  const { runFolder } = testEndpoints();
  const folder = mkdtempSync(join(runFolder, 'replay-'));
  const report = await policyReplayProof.run({
    size: 1200,
    seed: 7,
    place: {
      folder,
      logFolder: join(runFolder, 'log', basename(folder)),
      environment: process.env,
      onSpawn: (started) => recordProcess(runFolder, started),
    },
    say: () => undefined,
  });
  expect(report.problems).toEqual([]);
  const [traffic, different] = report.rows;
  expect(traffic?.slice(0, 2)).toEqual(['as traffic is', 1200]);
  // Equal inputs are evaluated once, others each.
  expect(Number(traffic?.[2])).toBeLessThan(100);
  expect(different?.[2]).toBe(1200);
  expect(Number(traffic?.[3])).toBeGreaterThan(100);
}, 300_000);
