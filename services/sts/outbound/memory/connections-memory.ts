// Connections and ConnectionAttempts in memory, with the tokens in the clear where envelopes would be: for tests of what
// stands on them.
import type { Clock } from '#mesh/time';
import type { Connection } from '../../domain/connection.ts';
import type {
  ConnectionAttempt,
  ConnectionAttempts,
  ConnectionKey,
  Connections,
  NewTokens,
} from '../../ports/connections.ts';

interface Row extends Connection {
  readonly zoneId: string;
  readonly lease?: { readonly holder: string; readonly untilMs: number } | undefined;
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

function written(row: Row, tokens: NewTokens, nowMs: number): Row {
  const { accessToken, refreshToken, providerVersion, expiresAtMs, scopes } = tokens;
  return {
    ...row,
    state: 'active',
    accessEnvelope: bytes(accessToken),
    refreshEnvelope: refreshToken === undefined ? row.refreshEnvelope : bytes(refreshToken),
    refreshVersion: row.refreshVersion + 1,
    providerVersion,
    expiresAtMs,
    refreshedAtMs: nowMs,
    failedAtMs: undefined,
    lastError: undefined,
    scopes,
    lease: undefined,
  };
}

const empty = ({ zoneId, providerId, subject }: ConnectionKey, id: string): Row => ({
  id,
  zoneId,
  providerId,
  subject,
  state: 'active',
  accessEnvelope: undefined,
  refreshEnvelope: undefined,
  refreshVersion: 1,
  providerVersion: 0,
  expiresAtMs: undefined,
  refreshedAtMs: undefined,
  failedAtMs: undefined,
  lastError: undefined,
  scopes: [],
});

export function createConnectionsMemory(clock: Pick<Clock, 'now'>): Connections {
  const rows = new Map<string, Row>();
  const nameOf = ({ zoneId, providerId, subject }: ConnectionKey): string => `${zoneId} ${providerId} ${subject}`;
  const byId = (key: ConnectionKey, id: string): Row | undefined => {
    const row = rows.get(nameOf(key));
    return row?.id === id ? row : undefined;
  };
  const visible = (row: Row | undefined): Connection | undefined => {
    if (!row) return undefined;
    const { zoneId: _zone, lease: _lease, ...connection } = row;
    return connection;
  };
  const read = async (key: ConnectionKey): Promise<Connection | undefined> => visible(rows.get(nameOf(key)));
  return {
    current: read,
    read,
    async ensure(key, id) {
      if (!rows.has(nameOf(key))) rows.set(nameOf(key), empty(key, id));
    },
    async lease(key, holder, leaseMs) {
      const row = rows.get(nameOf(key));
      if (!row) return { kind: 'absent' };
      if (row.lease && row.lease.untilMs >= clock.now()) return { kind: 'held' };
      const leased = { ...row, lease: { holder, untilMs: clock.now() + leaseMs } };
      rows.set(nameOf(key), leased);
      return { kind: 'leased', connection: visible(leased) ?? row };
    },
    async renew(key, id, { version, tokens }) {
      const row = byId(key, id);
      if (row?.refreshVersion !== version) return false;
      rows.set(nameOf(key), written(row, tokens, clock.now()));
      return true;
    },
    async release(key, id, { holder, error, providerVersion = 0 }) {
      const row = byId(key, id);
      if (row?.lease?.holder !== holder) return;
      const broken = { state: 'broken', failedAtMs: clock.now(), lastError: error, providerVersion } as const;
      rows.set(nameOf(key), { ...row, ...(error === undefined ? {} : broken), lease: undefined });
    },
    async replace(key, id, tokens) {
      rows.set(nameOf(key), { ...written(empty(key, id), tokens, clock.now()), refreshVersion: 1 });
    },
  };
}

export function createConnectionAttemptsMemory(clock: Pick<Clock, 'now'>): ConnectionAttempts {
  const attempts = new Map<string, ConnectionAttempt & { readonly expiresAtMs: number }>();
  return {
    async begin(zoneId, attempt, lifeSeconds) {
      attempts.set(`${zoneId} ${attempt.stateDigest}`, { ...attempt, expiresAtMs: clock.now() + lifeSeconds * 1000 });
      return true;
    },
    async take(zoneId, { stateDigest, actorId }) {
      const name = `${zoneId} ${stateDigest}`;
      const found = attempts.get(name);
      if (found?.actorId !== actorId || found.expiresAtMs <= clock.now()) return undefined;
      attempts.delete(name);
      const { expiresAtMs: _expires, ...attempt } = found;
      return attempt;
    },
  };
}
