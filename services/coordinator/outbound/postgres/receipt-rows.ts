// Idempotency receipts: which result a key stands for, for 24 hours, per operation and zone.
import type { ZoneTransaction } from '#mesh/postgres';
import type { Receipt } from '../../ports/session-graph.ts';

/** The receipt of an earlier call; waits for a call with the same key that is still under way. */
export async function selectReceipt(tx: ZoneTransaction, operation: string, key: string): Promise<Receipt | undefined> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
    `coordinator.receipt ${tx.zoneId} ${operation} ${key}`,
  ]);
  const row = await tx.one<{ result_id: string; request_digest: string }>(
    `SELECT result_id, request_digest FROM coordinator.idempotency_receipts
     WHERE zone_id = $1 AND operation = $2 AND key = $3 AND created_at > clock_timestamp() - interval '24 hours'`,
    [tx.zoneId, operation, key],
  );
  return row === undefined ? undefined : { resultId: row.result_id, requestDigest: row.request_digest };
}

export async function insertReceipt(
  tx: ZoneTransaction,
  kept: { operation: string; key: string; receipt: Receipt },
): Promise<void> {
  await tx.execute(
    `INSERT INTO coordinator.idempotency_receipts (zone_id, operation, key, request_digest, result_id, created_at)
     VALUES ($1, $2, $3, $4, $5, clock_timestamp())
     ON CONFLICT (zone_id, operation, key) DO UPDATE
       SET request_digest = excluded.request_digest, result_id = excluded.result_id, created_at = excluded.created_at`,
    [tx.zoneId, kept.operation, kept.key, kept.receipt.requestDigest, kept.receipt.resultId],
  );
}

export async function deleteReceipt(tx: ZoneTransaction, operation: string, key: string): Promise<void> {
  await tx.execute('DELETE FROM coordinator.idempotency_receipts WHERE zone_id = $1 AND operation = $2 AND key = $3', [
    tx.zoneId,
    operation,
    key,
  ]);
}
