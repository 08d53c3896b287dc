// Proofs that are tests of the suite at another size: the test is run by the test command, told its size by the environment,
// and writes what it saw into a file.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProofReport, ProofRequest } from './proof.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What such a test writes. */
export interface SuiteFindings {
  readonly rows: readonly (readonly (string | number)[])[];
  readonly facts: Readonly<Record<string, number>>;
}

export interface SuiteProof {
  /** Of the test file. */
  readonly filter: string;
  /** The variables that carry the size and the file to write. */
  readonly sizeVariable: string;
  readonly reportVariable: string;
  readonly columns: readonly string[];
  /** What the findings break beyond what the test itself judges. */
  readonly judge: (findings: SuiteFindings) => readonly string[];
}

export async function runSuiteProof(proof: SuiteProof, { size, place, say }: ProofRequest): Promise<ProofReport> {
  mkdirSync(place.folder, { recursive: true });
  const file = join(place.folder, 'findings.json');
  say('running the test at this size, with components of its own');
  const child = spawn(process.execPath, ['dev/launch.mjs', 'test', proof.filter], {
    cwd: root,
    env: { ...place.environment, [proof.sizeVariable]: String(size), [proof.reportVariable]: file },
    // The suite's own lines are progress here, and the table alone is the result.
    stdio: ['ignore', process.stderr, process.stderr],
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  const findings: SuiteFindings = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as SuiteFindings)
    : { rows: [], facts: {} };
  const failed = code === 0 ? [] : ['the test failed; its lines above say where'];
  return { columns: proof.columns, ...findings, problems: [...failed, ...proof.judge(findings)] };
}
