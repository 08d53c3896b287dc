// Where tests are found and how they are run. It stands alone because vitest looks for exactly this file.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['mesh', 'services', 'test', 'dev', 'bench'].map((folder) => `${folder}/**/*.test.ts`),
    globalSetup: ['test/support/global-setup.ts'],
    // Two on the smallest machine: a file that waits for a process leaves the other core to one that computes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Ceilings for a loaded machine; a test waits for a condition and is done when it holds.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
  },
});
