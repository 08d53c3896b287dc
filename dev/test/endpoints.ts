/** What the test command tells the tests about the components it started, and the environment variable it uses. */

export interface PostgresEndpoint {
  /** For titles: "18 (packaged)", "15 (Debian)", "given". */
  name: string;
  administratorUrl: string;
}

export interface TestEndpoints {
  /** For files of this run; removed at its end. */
  runFolder: string;
  /** The first is the one that tests use unless they name another. */
  postgres: [PostgresEndpoint, ...PostgresEndpoint[]];
  redisUrl: string;
  opa: { url: string; token: string; binary?: string | undefined };
}

/** Carries the endpoints, as JSON, from the test command to the test runner. */
export const endpointsVariable = 'CARACAL_TEST_ENDPOINTS';
