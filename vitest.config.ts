// Where tests are found. It stands alone because vitest looks for exactly this file.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['mesh', 'services', 'test', 'dev', 'bench'].map((folder) => `${folder}/**/*.test.ts`),
  },
});
