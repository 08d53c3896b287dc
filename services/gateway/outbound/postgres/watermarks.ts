// How much of this producer's evidence the ledger holds.
import { int8, type Database } from '#mesh/postgres';

export async function readWatermarks(database: Database): Promise<{ incarnation: string; seq: number }[]> {
  const rows = await database.query<{ incarnation: string; seq: string }>(
    'SELECT incarnation, seq FROM audit_pub.producer_watermarks($1)',
    ['gateway'],
  );
  return rows.map(({ incarnation, seq }) => ({ incarnation, seq: int8(seq) }));
}
