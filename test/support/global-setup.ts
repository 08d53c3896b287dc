/** Hands the components that the test command started to every test; without them pure tests run all the same. */
import type { TestProject } from 'vitest/node';
import { endpointsVariable } from '../../dev/test/endpoints.ts';
import type { TestEndpoints } from '../../dev/test/endpoints.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Absent when the runner was started by itself. */
    endpoints: TestEndpoints | undefined;
  }
}

export function setup(project: TestProject): void {
  const given = process.env[endpointsVariable];
  project.provide('endpoints', given === undefined ? undefined : (JSON.parse(given) as TestEndpoints));
}
