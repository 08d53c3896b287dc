// Connections and ConnectionAttempts on the STS's own tables; what is current comes from memory.
import { fail } from '#mesh/failure';
import type { ZoneTransaction } from '#mesh/postgres';
import type { Connection } from '../../domain/connection.ts';
import type { ConnectionAttempts, ConnectionKey, Connections, NewTokens } from '../../ports/connections.ts';
import type { Vault } from '../../ports/vault.ts';
import * as rows from './connection-rows.ts';
import { inZone as inKnownZone } from './zone-reader.ts';
import type { ZoneShares } from './zone-shares.ts';

/** Attempts a zone may have under way: more are no administrators, and each costs a row for ten minutes. */
const maxAttempts = 200;

type Sealer = Pick<Vault, 'seal'>;

/** Each token for its own column of the row: moved to another it does not open. */
function sealed(vault: Sealer, id: string, tokens: NewTokens): rows.TokenValues {
  const seal = (text: string, column: string): Uint8Array =>
    vault.seal(Buffer.from(text, 'utf8'), { table: 'sts.provider_connections', column, rowId: id });
  const { accessToken, refreshToken, providerVersion, expiresAtMs, scopes } = tokens;
  return {
    accessEnvelope: seal(accessToken, 'access_envelope'),
    refreshEnvelope: refreshToken === undefined ? undefined : seal(refreshToken, 'refresh_envelope'),
    providerVersion,
    expiresAt: expiresAtMs === undefined ? null : new Date(expiresAtMs),
    scopes,
  };
}

async function inZone<T>(database: ZoneShares, zoneId: string, work: (tx: ZoneTransaction) => Promise<T>): Promise<T> {
  const found = await inKnownZone(database, zoneId, async (tx) => ({ value: await work(tx) }));
  if (!found) throw fail('internal_error', { privateDetail: 'connection of an impossible zone' });
  return found.value;
}

/** The memory in front of the rows. */
export interface CurrentConnections {
  get(zoneId: string, providerId: string, subject: string): Promise<Connection | undefined>;
  drop(zoneId: string, providerId: string, subject: string): void;
}

export function createConnections(database: ZoneShares, memory: CurrentConnections, vault: Sealer): Connections {
  const forget = ({ zoneId, providerId, subject }: ConnectionKey): void => memory.drop(zoneId, providerId, subject);
  return {
    current: async ({ zoneId, providerId, subject }) => memory.get(zoneId, providerId, subject),
    async read(key) {
      const row = await inZone(database, key.zoneId, async (tx) => rows.selectConnection(tx, key));
      return row && rows.toConnection(row);
    },
    async ensure(key, id) {
      await inZone(database, key.zoneId, async (tx) => rows.insertEmptyConnection(tx, { ...key, id }));
      forget(key);
    },
    lease: async (key, holder, leaseMs) =>
      inZone(database, key.zoneId, async (tx) => {
        const row = await rows.updateLease(tx, { ...key, holder, leaseMs });
        if (row) return { kind: 'leased', connection: rows.toConnection(row) };
        return (await rows.selectConnection(tx, key)) ? { kind: 'held' } : { kind: 'absent' };
      }),
    async renew(key, id, { version, tokens }) {
      const written = await inZone(database, key.zoneId, async (tx) =>
        rows.updateTokens(tx, { id, version, tokens: sealed(vault, id, tokens) }),
      );
      forget(key);
      return written > 0;
    },
    async release(key, id, { holder, error, providerVersion = 0 }) {
      await inZone(database, key.zoneId, async (tx) =>
        error === undefined
          ? rows.updateReleased(tx, { id, holder })
          : rows.updateBroken(tx, { id, holder, error, providerVersion }),
      );
      forget(key);
    },
    async replace(key, id, tokens) {
      await inZone(database, key.zoneId, async (tx) => {
        await rows.updateReplaced(tx, key);
        await rows.insertConnection(tx, { ...key, id, tokens: sealed(vault, id, tokens) });
      });
      forget(key);
    },
  };
}

export function createConnectionAttempts(database: ZoneShares): ConnectionAttempts {
  return {
    begin: async (zoneId, attempt, lifeSeconds) =>
      inZone(database, zoneId, async (tx) => {
        await rows.deleteExpiredAttempts(tx);
        return (await rows.insertAttempt(tx, { ...attempt, lifeSeconds }, maxAttempts)) > 0;
      }),
    take: async (zoneId, by) =>
      inZone(database, zoneId, async (tx) => {
        const row = await rows.deleteAttempt(tx, by);
        if (!row) return undefined;
        return {
          id: row.id,
          stateDigest: row.state_digest,
          providerId: row.provider_id,
          subject: row.subject,
          redirectUri: row.redirect_uri,
          actorId: row.actor_id,
          verifierEnvelope: row.verifier_envelope,
        };
      }),
  };
}
