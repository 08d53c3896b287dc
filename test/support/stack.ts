/** The real components of this test run, as tests ask for them. */
import { inject } from 'vitest';
import type { PostgresEndpoint, TestEndpoints } from '../../dev/test/endpoints.ts';
import type {} from './global-setup.ts';

/** Fails in words that say how to run the test when no components were started. */
export function testEndpoints(): TestEndpoints {
  const endpoints = inject('endpoints');
  if (endpoints !== undefined) return endpoints;
  throw new Error('this test needs real components: run it with `npm test -- <path>`');
}

/** The server that tests use unless they are about releases. */
export function testPostgres(): PostgresEndpoint {
  return testEndpoints().postgres[0];
}

/**
 * Every server of the run, the oldest supported release among them where it is installed: for tests of migrations and
 * roles. Empty without components, so that a file can still be collected.
 */
export function testPostgresServers(): readonly PostgresEndpoint[] {
  return inject('endpoints')?.postgres ?? [];
}

export function testOpa(): TestEndpoints['opa'] {
  return testEndpoints().opa;
}
