// Idempotency receipts: what a key stands for, for 24 hours, per actor, zone and route.
import type { JsonObject } from '#mesh/failure';
import type { Transaction } from '#mesh/postgres';
import type { Receipt, ReceiptKey } from '../../ports/control-store.ts';

interface ReceiptRow {
  readonly body_digest: string;
  readonly status: number;
  readonly response: JsonObject;
}

const keyValues = ({ actorId, zoneId, route, keyDigest }: ReceiptKey): string[] => [actorId, zoneId, route, keyDigest];

export async function selectReceipt(tx: Transaction, key: ReceiptKey): Promise<Receipt | undefined> {
  const row = await tx.one<ReceiptRow>(
    `SELECT body_digest, status, response FROM api.idempotency_receipts
     WHERE actor_id = $1 AND zone_id = $2 AND route = $3 AND key_digest = $4
       AND created_at > clock_timestamp() - interval '24 hours'`,
    keyValues(key),
  );
  return row === undefined ? undefined : { bodyDigest: row.body_digest, status: row.status, response: row.response };
}

/** Waits for another transaction with the same key, so that it sees what that one kept. */
export async function claimReceipt(tx: Transaction, key: ReceiptKey): Promise<Receipt | undefined> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`api.receipt ${keyValues(key).join(' ')}`]);
  return selectReceipt(tx, key);
}

export async function insertReceipt(tx: Transaction, key: ReceiptKey, receipt: Receipt): Promise<void> {
  await tx.execute(
    `INSERT INTO api.idempotency_receipts (actor_id, zone_id, route, key_digest, body_digest, status, response)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (actor_id, zone_id, route, key_digest) DO UPDATE
       SET body_digest = excluded.body_digest, status = excluded.status, response = excluded.response,
           created_at = clock_timestamp()`,
    [...keyValues(key), receipt.bodyDigest, receipt.status, JSON.stringify(receipt.response)],
  );
}
