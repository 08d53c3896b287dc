// Rows of audit.producer_watermarks: which numbers of a producer have arrived, and up to which one nothing is missing.
import type { Database, Transaction } from '#mesh/postgres';
import type { ProducerSequence, SequenceGap } from '../../domain/producer-sequence.ts';

/** Where the first range ends when it begins with 1: nothing below is missing. */
const watermarkOf = (ranges: string): string =>
  `CASE WHEN ${ranges} @> 1::bigint THEN (SELECT upper(r) - 1 FROM unnest(${ranges}) AS r ORDER BY r LIMIT 1) ELSE 0 END`;

export async function addProducerNumbers(
  tx: Transaction,
  producer: { producer: string; incarnation: string },
  numbers: readonly number[],
): Promise<void> {
  await tx.execute(
    `INSERT INTO audit.producer_watermarks AS w (producer, incarnation, arrived, seq)
     SELECT $1, $2, a.arrived, ${watermarkOf('a.arrived')}
     FROM (SELECT range_agg(int8range(n, n, '[]')) AS arrived FROM unnest($3::bigint[]) AS n) AS a
     ON CONFLICT (producer, incarnation) DO UPDATE
       SET arrived = w.arrived + excluded.arrived,
           seq = ${watermarkOf('(w.arrived + excluded.arrived)')},
           updated_at = clock_timestamp()`,
    [producer.producer, producer.incarnation, numbers],
  );
}

export async function giveUpNumbers(tx: Transaction, gap: SequenceGap): Promise<void> {
  const arrived = `(arrived + int8multirange(int8range($3, $4, '[]')))`;
  await tx.execute(
    `UPDATE audit.producer_watermarks
     SET arrived = ${arrived}, seq = ${watermarkOf(arrived)}, updated_at = clock_timestamp()
     WHERE producer = $1 AND incarnation = $2`,
    [gap.producer, gap.incarnation, gap.from, gap.to],
  );
}

/** Complete producers are left out by the comparison of two numbers; there is one row per process start. */
export async function selectIncomplete(database: Database): Promise<ProducerSequence[]> {
  const rows = await database.query<{ producer: string; incarnation: string; ranges: [number, number][] }>(
    `SELECT producer, incarnation,
       (SELECT json_agg(json_build_array(lower(r), upper(r) - 1) ORDER BY r) FROM unnest(arrived) AS r) AS ranges
     FROM audit.producer_watermarks
     WHERE seq < upper(arrived) - 1`,
  );
  return rows.map(({ producer, incarnation, ranges }) => ({ producer, incarnation, arrived: ranges }));
}
