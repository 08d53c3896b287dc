// What the flows about providers need, and how they leave evidence.
import { fail } from '#mesh/failure';
import type { JsonValue } from '#mesh/failure';
import type { IdSource } from '#mesh/ids';
import type { Clock } from '#mesh/time';
import type { Provider } from '../../domain/directory.ts';
import type { ConnectionAttempts, Connections } from '../../ports/connections.ts';
import type { Directory } from '../../ports/directory.ts';
import type { Evidence } from '../../ports/evidence.ts';
import type { ProviderCredentials } from '../../ports/provider-credentials.ts';
import type { TokenEndpoint } from '../../ports/token-endpoint.ts';
import type { Vault } from '../../ports/vault.ts';
import type { Asked } from '../evidence.ts';

export interface ConnectionDeps {
  readonly directory: Pick<Directory, 'zone' | 'provider'>;
  readonly connections: Connections;
  readonly connectionAttempts: ConnectionAttempts;
  readonly tokenEndpoint: TokenEndpoint;
  readonly providerCredentials: ProviderCredentials;
  readonly vault: Pick<Vault, 'seal' | 'open'>;
  readonly evidence: Evidence;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly newId: IdSource;
  /** So many bytes nobody can guess. */
  readonly random: (bytes: number) => Uint8Array;
  /** MAX_GRANT_TTL_SECONDS. */
  readonly maxGrantTtlSeconds: number;
}

/** The call behind the flow. */
export interface ProviderCall {
  readonly asked: Asked;
  readonly zoneId: string;
}

export async function requireProvider(deps: ConnectionDeps, zoneId: string, providerId: string): Promise<Provider> {
  const [zone, provider] = await Promise.all([
    deps.directory.zone(zoneId),
    deps.directory.provider(zoneId, providerId),
  ]);
  if (!zone) throw fail('not_found', { description: 'There is no such zone.' });
  if (!provider) throw fail('not_found', { description: 'There is no such provider here.' });
  return provider;
}

/** Resolves when the event is durable. What is undefined is left out. */
export async function recordCall(
  { evidence }: Pick<ConnectionDeps, 'evidence'>,
  { asked, zoneId }: ProviderCall,
  event: { readonly type: string; readonly facts: Readonly<Record<string, JsonValue | undefined>> },
): Promise<void> {
  const present = Object.entries(event.facts).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined);
  await evidence.emit({
    zoneId,
    eventType: event.type,
    requestId: asked.requestId,
    ...(asked.traceId === undefined ? {} : { traceId: asked.traceId }),
    metadata: Object.fromEntries(present),
  });
}
