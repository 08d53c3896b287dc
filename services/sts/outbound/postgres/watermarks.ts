// Up to which number the ledger holds what this service produced; its journal keeps everything above.
import type { Database } from '#mesh/postgres';
import type { ProducerWatermark } from '#mesh/trail';

export async function readWatermarks(database: Pick<Database, 'query'>): Promise<readonly ProducerWatermark[]> {
  const rows = await database.query<{ incarnation: string; seq: string }>(
    'SELECT incarnation, seq FROM audit_pub.producer_watermarks($1)',
    ['sts'],
  );
  return rows.map(({ incarnation, seq }) => ({ incarnation, seq: Number(seq) }));
}
