import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from 'vitest';
import { knownId, newId, type ZoneId } from '#mesh/ids';
import { createPool } from '#mesh/postgres';
import { createKeyring } from '#mesh/secrets';
import { silentLogger } from '#mesh/telemetry';
import { ManualClock } from '#mesh/time';
import {
  createConnectionAttemptsMemory,
  createConnectionsMemory,
} from '../../../services/sts/outbound/memory/connections-memory.ts';
import {
  createConnectionAttempts,
  createConnections,
} from '../../../services/sts/outbound/postgres/connections-postgres.ts';
import { createZoneReader } from '../../../services/sts/outbound/postgres/zone-reader.ts';
import { shareByZone } from '../../../services/sts/outbound/postgres/zone-shares.ts';
import { createVault } from '../../../services/sts/outbound/signing/vault-envelopes.ts';
import { disposableDatabase } from '../../support/database.ts';
import { connectionsContract } from './connections-contract.ts';

describe('connections in memory', () => {
  connectionsContract(async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 1));
    return {
      connections: createConnectionsMemory(clock),
      attempts: createConnectionAttemptsMemory(clock),
      zoneId: newId(),
      pass: async (ms) => clock.advance(ms),
      [Symbol.asyncDispose]: async () => undefined,
    };
  });
});

describe('connections in Postgres', () => {
  connectionsContract(async () => {
    const parts = new AsyncDisposableStack();
    const { urls } = parts.use(await disposableDatabase());
    const pool = parts.use(createPool({ service: 'sts', connectionString: urls.sts, max: 4, logger: silentLogger }));
    const shares = shareByZone(pool, 4);
    const reader = createZoneReader(shares);
    const memory = { get: reader.connection, drop: () => undefined };
    const vault = createVault(createKeyring({ current: randomBytes(32).toString('hex') }));
    return {
      connections: createConnections(shares, memory, vault),
      attempts: createConnectionAttempts(shares),
      zoneId: knownId<ZoneId>(newId()),
      // The database's own clock judges.
      pass: async (ms) => sleep(ms),
      [Symbol.asyncDispose]: async () => parts.disposeAsync(),
    };
  });
});
