// What can be done inside a transaction, and the two kinds there are. The types are branded, so that a statement written for
// one zone cannot be given a connection that is bound to none.
import type { ZoneId } from '#mesh/ids';
import type { ServiceName } from '#mesh/topology';
import type { PoolClient } from 'pg';

/** Statements run one after another, in the order they are called. Values travel apart from the text, always. */
export interface Transaction {
  readonly query: <R extends object>(text: string, values?: readonly unknown[]) => Promise<R[]>;
  /** The only row, or undefined when there is none. Throws when there are more. */
  readonly one: <R extends object>(text: string, values?: readonly unknown[]) => Promise<R | undefined>;
  /** How many rows were written. */
  readonly execute: (text: string, values?: readonly unknown[]) => Promise<number>;
}

declare const bound: unique symbol;

/** Sees and writes the rows of one zone: row-level security holds it there. */
export interface ZoneTransaction extends Transaction {
  readonly zoneId: ZoneId;
  /** Whose schema it writes. */
  readonly service: ServiceName;
  readonly [bound]: 'zone';
}

/** Reads the rows of all zones, as the service's loader. Writes nothing: the transaction is read-only, the role has no grant. */
export interface LoaderTransaction extends Transaction {
  readonly [bound]: 'loader';
}

/** A transaction that enters one zone after another; the ZoneTransaction of the zone before ends when the next is entered. */
export interface ZoneSequence extends Transaction {
  enter(zone: ZoneId): Promise<ZoneTransaction>;
}

/**
 * Named statements are planned once per connection. A text beyond this many different ones (rows multiplied into the text)
 * goes unnamed, so that neither side keeps plans without end.
 */
const namedStatementsAtMost = 500;

const names = new Map<string, string>();

/** The name a statement's text is prepared under; undefined leaves it unprepared. */
function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= namedStatementsAtMost) return known;
  const name = `caracal_${names.size + 1}`;
  names.set(text, name);
  return name;
}

/** Runs one statement on a connection, prepared under its own name. */
export async function runStatement<R extends object>(
  client: Pick<PoolClient, 'query'>,
  text: string,
  values: readonly unknown[] = [],
): Promise<{ rows: R[]; count: number }> {
  const result = await client.query<R>({ name: nameOf(text), text, values: [...values] });
  return { rows: result.rows, count: result.rowCount ?? 0 };
}

/** Statements on a connection for as long as `isOpen` says so; used later they throw, instead of landing somewhere else. */
export function openTransaction(client: PoolClient, isOpen: () => boolean): Transaction {
  const run = async <R extends object>(text: string, values?: readonly unknown[]) => {
    if (!isOpen()) throw new Error('the transaction is over: every statement belongs inside its work function');
    return runStatement<R>(client, text, values);
  };
  return {
    query: async <R extends object>(text: string, values?: readonly unknown[]) => (await run<R>(text, values)).rows,
    one: async <R extends object>(text: string, values?: readonly unknown[]) => {
      const { rows } = await run<R>(text, values);
      if (rows.length > 1) throw new Error('a statement for one row answered with more');
      return rows[0];
    },
    execute: async (text, values) => (await run(text, values)).count,
  };
}

export function asZoneTransaction(
  transaction: Transaction,
  binding: { readonly zoneId: ZoneId; readonly service: ServiceName },
): ZoneTransaction {
  return { ...transaction, ...binding } as ZoneTransaction;
}

export function asLoaderTransaction(transaction: Transaction): LoaderTransaction {
  return transaction as LoaderTransaction;
}
