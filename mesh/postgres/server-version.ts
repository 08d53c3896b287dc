// Which Postgres answers. It stands alone because both the bootstrap and the migrator depend on it.
import type { ClientBase } from 'pg';

/** 15: the oldest release every statement of ours is written for. */
export const oldestServerVersion = 150_000;

/** As the server reports it: 180004 is 18.4. */
export async function serverVersion(client: ClientBase): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  return rows[0]?.version ?? 0;
}
