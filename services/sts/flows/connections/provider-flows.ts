// The flows about providers, bound to their ports: what the RPC edge is given.
import { beginConnection, type BeginConnection } from './begin-connection.ts';
import { completeConnection, type CompleteConnection } from './complete-connection.ts';
import type { ConnectionDeps } from './connection-deps.ts';
import { testProvider, type TestProvider } from './test-provider.ts';

export type ProviderFlows = ReturnType<typeof providerFlows>;

export function providerFlows(deps: ConnectionDeps) {
  return {
    test: async (test: TestProvider) => testProvider(deps, test),
    begin: async (begin: BeginConnection) => beginConnection(deps, begin),
    complete: async (complete: CompleteConnection) => completeConnection(deps, complete),
  };
}
