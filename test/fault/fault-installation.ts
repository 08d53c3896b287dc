/** The installation of a fault test: one per file, in the run's folder, gone with the run whatever happens. */
import { mkdtempSync } from 'node:fs';
import { basename, join } from 'node:path';
import { recordProcess } from '../../dev/test/run-folder.ts';
import { startProofInstallation } from '../../bench/proofs/installation.ts';
import type { ProofInstallation, ProofInstallationOptions } from '../../bench/proofs/installation.ts';
import { testEndpoints } from '../support/stack.ts';

export async function startFaultInstallation(
  options: Pick<ProofInstallationOptions, 'services' | 'settings' | 'overrides' | 'replicas'>,
): Promise<ProofInstallation> {
  const { runFolder } = testEndpoints();
  const folder = mkdtempSync(join(runFolder, 'fault-'));
  return startProofInstallation({
    ...options,
    folder,
    logFolder: join(runFolder, 'log', basename(folder)),
    environment: process.env,
    onSpawn: (started) => recordProcess(runFolder, started),
  });
}
