// Replicas of what obtains credentials, in one process: each with its own memory and its own way out, over one real database.
import { randomBytes } from 'node:crypto';
import { createPool } from '#mesh/postgres';
import { knownId, newId, type ZoneId } from '#mesh/ids';
import { createKeyring } from '#mesh/secrets';
import { createMetrics } from '#mesh/telemetry';
import { disposableDatabase } from '#test/database';
import { quietLogger } from '#test/quiet-logger';
import type { AuthorizationServer } from '#test/authorization-server';
import type { AuditEventDraft } from '#mesh/trail';
import type { Provider } from '../../../services/sts/domain/directory.ts';
import { createStsMetrics } from '../../../services/sts/metrics.ts';
import { createFreshCache } from '../../../services/sts/outbound/cache/fresh-cache.ts';
import { createEgress } from '../../../services/sts/outbound/egress/egress-undici.ts';
import { selectConnection, toConnection } from '../../../services/sts/outbound/postgres/connection-rows.ts';
import { createZoneReader } from '../../../services/sts/outbound/postgres/zone-reader.ts';
import { shareByZone } from '../../../services/sts/outbound/postgres/zone-shares.ts';
import {
  openProviderCredentials,
  type ProviderPorts,
} from '../../../services/sts/outbound/providers/open-provider-credentials.ts';
import { createVault } from '../../../services/sts/outbound/signing/vault-envelopes.ts';
import type { Connection } from '../../../services/sts/domain/connection.ts';
import type { Vault } from '../../../services/sts/ports/vault.ts';

export interface Replica extends ProviderPorts {
  /** Forgets what it remembers of the provider, as an invalidation makes it. */
  forget(): void;
}

export interface ProviderBed extends AsyncDisposable {
  readonly zoneId: ZoneId;
  readonly vault: Vault;
  readonly events: AuditEventDraft[];
  /** Added to every replica's time; its monotonic clock stands still but for this. */
  shiftMs: number;
  replica(): Replica;
  /** A provider of this server, its secrets sealed. */
  provider(kind: string, server: AuthorizationServer, config?: Record<string, unknown>): Provider;
  /** The rows as they are. */
  row(provider: Provider, subject?: string): Promise<Connection | undefined>;
  sql(text: string, values?: readonly unknown[]): Promise<void>;
}

export async function openProviderBed(servers: readonly AuthorizationServer[]): Promise<ProviderBed> {
  const parts = new AsyncDisposableStack();
  const logger = quietLogger();
  const database = parts.use(await disposableDatabase());
  const pool = parts.use(createPool({ service: 'sts', connectionString: database.urls.sts, max: 8, logger }));
  const vault = createVault(createKeyring({ current: randomBytes(32).toString('hex') }));
  const zoneId = knownId<ZoneId>(newId());
  const events: AuditEventDraft[] = [];
  const shares = shareByZone(pool, 8);
  const bed = { shiftMs: 0 };
  const clock = {
    now: () => Date.now() + bed.shiftMs,
    monotonic: () => bed.shiftMs,
    sleep: async (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  };

  function replica(): Replica {
    const reader = createZoneReader(shares);
    const cache = createFreshCache<Connection>({
      read: async (key) => {
        const [zone = '', providerId = '', subject = ''] = key.split(' ');
        return reader.connection(zone, providerId, subject);
      },
      max: 100,
      isFresh: () => true,
      maxStalenessMs: 5000,
      maxAgeMs: 600_000,
      monotonic: clock.monotonic,
    });
    const ports = openProviderCredentials({
      shares,
      memory: {
        get: async (zone, providerId, subject) => cache.get(`${zone} ${providerId} ${subject}`),
        drop: (zone, providerId, subject) => cache.drop(`${zone} ${providerId} ${subject}`),
      },
      egress: createEgress({
        own: () => ({ endpoints: [] }),
        denied: [],
        rules: {
          loopbackHosts: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
          privateHosts: [],
          plaintext: 'loopback',
        },
      }),
      vault,
      evidence: {
        emit: async (draft) => {
          events.push(draft);
          return { eventId: newId() };
        },
      },
      clock,
      newId,
      capSeconds: 3600,
      circuitOpenMs: 1500,
      metrics: createStsMetrics(createMetrics('sts')),
    });
    return { ...ports, forget: () => cache.dropAll() };
  }

  function seal(name: string, value: string): Provider['secrets'][number] {
    const rowId = newId();
    const location = { table: 'api.provider_secrets', column: 'envelope', rowId };
    return { name, rowId, envelope: vault.seal(Buffer.from(value, 'utf8'), location) };
  }

  return Object.assign(bed, {
    zoneId,
    vault,
    events,
    replica,
    provider: (kind: string, server: AuthorizationServer, config: Record<string, unknown> = {}): Provider => ({
      id: newId(),
      zoneId,
      identifier: 'provider',
      kind,
      config: {
        token_url: `${server.url}/token`,
        authorization_url: `${server.url}/authorize`,
        redirect_uris: ['https://admin.test/back'],
        client_id: server.clientId,
        scopes: ['read', 'write'],
        ...(config as Provider['config']),
      },
      secrets: [seal('client_secret', server.clientSecret)],
      version: 1,
    }),
    row: async ({ id: providerId }: Provider, subject = '') =>
      pool.inZone(zoneId, async (tx) => {
        const row = await selectConnection(tx, { providerId, subject });
        return row && toConnection(row);
      }),
    sql: async (text: string, values: readonly unknown[] = []) => {
      await pool.inZone(zoneId, async (tx) => tx.execute(text, values));
    },
    [Symbol.asyncDispose]: async () => parts.disposeAsync(),
  });
}
