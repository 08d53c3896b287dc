// Makes connections: which role they put on, how long anything on them may take. It stands alone because the pool, the
// listener and the leaders each need their own, and all must be the same.
import type { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { ServiceName } from '#mesh/topology';
import pg from 'pg';
import { serviceRole } from './roles.ts';

export interface ConnectionSettings {
  readonly service: ServiceName;
  /** A login that may put on caracal_<service> and caracal_<service>_loader. */
  readonly connectionString: string;
  /** Milliseconds one statement may take. */
  readonly statementTimeoutMs: number;
  /** Milliseconds to wait for a connection, from the pool or from the server. */
  readonly connectTimeoutMs: number;
}

/** Longer than any statement may take: only a transaction that its process forgot is cut. */
const idleInTransactionMs = 30_000;

/** What every connection of a service has in common. */
export function connectionConfig(settings: ConnectionSettings, purpose: string): pg.ClientConfig {
  return {
    connectionString: settings.connectionString,
    application_name: `caracal-${settings.service}${purpose}`,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    statement_timeout: settings.statementTimeoutMs,
    // The server's timeout speaks first; this one is for a server that does not speak at all.
    query_timeout: settings.statementTimeoutMs + 1_000,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
  };
}

/**
 * Puts on the service's role. Before 16 a login inherits nothing and needs it; from 16 on it keeps the grants in one place
 * for logins that are members of more.
 */
export async function putOnRole(client: pg.ClientBase, service: ServiceName): Promise<void> {
  await client.query(`SET ROLE ${serviceRole(service)}`);
}

/** A connection outside the pool, for waiting on. Errors on it end up in `onEnd`, once. */
export async function openConnection(
  settings: ConnectionSettings,
  purpose: string,
  onEnd: (error: Error) => void,
): Promise<pg.Client> {
  const client = new pg.Client(connectionConfig(settings, purpose));
  let ended = false;
  const end = (error: Error): void => {
    if (ended) return;
    ended = true;
    onEnd(error);
  };
  client.on('error', end);
  client.on('end', () => end(new Error('the connection ended')));
  try {
    await client.connect();
    await putOnRole(client, settings.service);
    return client;
  } catch (error) {
    await endConnection(client);
    throw error;
  }
}

/** A server that is there closes at once; one that is cut off never would. */
const closingMs = 1_000;

/** Ends a connection, and does not wait for a peer that no longer answers. Never rejects. */
export async function endConnection(client: pg.Client): Promise<void> {
  const waiting = new AbortController();
  const late = wait(closingMs, 'late', { signal: waiting.signal, ref: false }).catch(() => 'closed');
  const outcome = await Promise.race([client.end().catch(() => {}), late]);
  waiting.abort();
  if (outcome === 'late') (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
}
