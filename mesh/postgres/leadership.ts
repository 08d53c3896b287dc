// One leader among the replicas of a service, held by an advisory lock on a connection of its own: when the connection is
// gone, so is the lead. It stands alone because relays and ledgers lead by the same rule.
import type { Client } from 'pg';
import { endConnection, openConnection, type ConnectionSettings } from './connections.ts';
import { lockClass } from './locks.ts';
import { runStatement, type Transaction } from './transaction.ts';

/**
 * A term of leadership. Statements run on the very connection that holds the lock, so a statement that succeeded was run by
 * the leader. `lost` fires when the connection is gone; what was read before must not be acted on afterwards.
 */
export interface Leadership extends Pick<Transaction, 'query' | 'execute'>, AsyncDisposable {
  readonly lost: AbortSignal;
}

/**
 * The server lets go of the lock of a leader that was cut off after some 11 s instead of the system's two hours: 5 s of
 * silence, then three probes 2 s apart. Nothing on a Unix socket.
 */
const quickDetection = 'SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3';

/** Takes the lead named `name` when nobody has it; undefined when another has. Rejects when the database is away. */
export async function tryLead(settings: ConnectionSettings, name: string): Promise<Leadership | undefined> {
  const lost = new AbortController();
  const client = await openConnection(settings, '-leader', (error) => lost.abort(error));
  try {
    await client.query(quickDetection);
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, hashtext($2)) AS taken', [
      lockClass,
      name,
    ]);
    if (rows[0]?.taken === true) return leadership(client, lost);
  } catch (error) {
    await endConnection(client);
    throw error;
  }
  await endConnection(client);
  return undefined;
}

function leadership(client: Client, lost: AbortController): Leadership {
  return {
    lost: lost.signal,
    query: async <R extends object>(text: string, values?: readonly unknown[]) => {
      lost.signal.throwIfAborted();
      return (await runStatement<R>(client, text, values)).rows;
    },
    execute: async (text, values) => {
      lost.signal.throwIfAborted();
      return (await runStatement(client, text, values)).count;
    },
    [Symbol.asyncDispose]: async () => {
      lost.abort(new Error('the lead was given up'));
      await endConnection(client);
    },
  };
}
