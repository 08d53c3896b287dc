// A plain SQL client under a service's real login, as an auditor would use one: no library of ours between it and Postgres.
import pg from 'pg';
import type { ServiceName } from '#mesh/topology';

export interface PlainClient extends AsyncDisposable {
  /** Runs statements in one transaction, bound to the zone when one is given; the last statement's rows. */
  run(zone: string | undefined, ...statements: Statement[]): Promise<Record<string, unknown>[]>;
  /** The SQLSTATE that refuses the statements; undefined when they succeed. */
  refusal(zone: string | undefined, ...statements: Statement[]): Promise<string | undefined>;
}

export type Statement = string | readonly [text: string, ...values: unknown[]];

/** Logs in and puts on `role`, the service's own when left out. */
export async function plainClient(url: string, role: string): Promise<PlainClient> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  await client.query(`SET ROLE ${role}`);

  async function run(zone: string | undefined, ...statements: Statement[]): Promise<Record<string, unknown>[]> {
    let rows: Record<string, unknown>[] = [];
    await client.query('BEGIN');
    try {
      if (zone !== undefined) await client.query("SELECT set_config('caracal.zone_id', $1, true)", [zone]);
      for (const statement of statements) {
        const [text, ...values] = typeof statement === 'string' ? [statement] : statement;
        rows = (await client.query<Record<string, unknown>>(text, values)).rows;
      }
      await client.query('COMMIT');
      return rows;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    }
  }

  return {
    run,
    refusal: async (zone, ...statements) => {
      try {
        await run(zone, ...statements);
        return undefined;
      } catch (error) {
        return error instanceof pg.DatabaseError ? error.code : String(error);
      }
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

export function serviceClient(urls: Readonly<Record<ServiceName, string>>, service: ServiceName): Promise<PlainClient> {
  return plainClient(urls[service], `caracal_${service}`);
}

export function loaderClient(urls: Readonly<Record<ServiceName, string>>, service: ServiceName): Promise<PlainClient> {
  return plainClient(urls[service], `caracal_${service}_loader`);
}

/** SQLSTATE of a missing privilege, and of a row that row-level security refuses. */
export const insufficientPrivilege = '42501';
