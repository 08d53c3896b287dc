// Opens everything about providers: the way to their token endpoints, the tokens that are held, and what makes a lost
// connection evidence.
import type { IdSource } from '#mesh/ids';
import type { Clock } from '#mesh/time';
import type { StsMetrics } from '../../metrics.ts';
import type { ConnectionAttempts, Connections } from '../../ports/connections.ts';
import type { Egress } from '../../ports/egress.ts';
import type { Evidence } from '../../ports/evidence.ts';
import type { ProviderCredentials } from '../../ports/provider-credentials.ts';
import type { TokenEndpoint } from '../../ports/token-endpoint.ts';
import type { Vault } from '../../ports/vault.ts';
import {
  createConnectionAttempts,
  createConnections,
  type CurrentConnections,
} from '../postgres/connections-postgres.ts';
import type { ZoneShares } from '../postgres/zone-shares.ts';
import { createFailureBreaker } from './failure-breaker.ts';
import { createHeldTokens } from './held-tokens.ts';
import { createProviderCredentials } from './provider-credentials.ts';
import { createTokenEndpoint } from './token-endpoint-http.ts';

export interface OpenProviderCredentialsOptions {
  readonly shares: ZoneShares;
  readonly memory: CurrentConnections;
  readonly egress: Egress;
  readonly vault: Vault;
  readonly evidence: Evidence;
  readonly clock: Clock;
  readonly newId: IdSource;
  readonly capSeconds: number;
  /** How long a failing provider is left alone; the reference's 30 seconds unless given. */
  readonly circuitOpenMs?: number | undefined;
  readonly metrics: Pick<StsMetrics, 'tokenRequests' | 'providerTokens' | 'providerCircuitsOpened'>;
}

export interface ProviderPorts {
  readonly connections: Connections;
  readonly connectionAttempts: ConnectionAttempts;
  readonly tokenEndpoint: TokenEndpoint;
  readonly providerCredentials: ProviderCredentials;
}

export function openProviderCredentials(options: OpenProviderCredentialsOptions): ProviderPorts {
  const { shares, memory, egress, vault, evidence, clock, newId, metrics } = options;
  const breaker = createFailureBreaker({
    clock,
    onOpen: () => metrics.providerCircuitsOpened.inc(),
    halfOpenAfterMs: options.circuitOpenMs,
  });
  const connections = createConnections(shares, memory, vault);
  const tokenEndpoint = createTokenEndpoint({
    egress,
    vault,
    breaker,
    clock,
    newId,
    random: Math.random,
    onRequest: (outcome) => metrics.tokenRequests.inc({ outcome }),
  });
  const tokens = createHeldTokens({
    connections,
    tokenEndpoint,
    vault,
    clock,
    newId,
    capSeconds: options.capSeconds,
    onObtained: (source) => metrics.providerTokens.inc({ source }),
    onBroken: async ({ zoneId, providerId, connectionId, subject, error }) => {
      const metadata = { provider_id: providerId, connection_id: connectionId, subject, error };
      await evidence.emit({ zoneId, eventType: 'connection.broken', requestId: newId(), metadata });
    },
  });
  return {
    connections,
    connectionAttempts: createConnectionAttempts(shares),
    tokenEndpoint,
    providerCredentials: createProviderCredentials(vault, tokens),
  };
}
