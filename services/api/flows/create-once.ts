// Creation under an idempotency key: the receipt is claimed and kept in the creating transaction, so that of two calls with
// one key exactly one creates and the other is told what was created, without its secrets.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { ZoneId } from '#mesh/ids';
import type { ControlTransaction, Receipt, ReceiptKey } from '../ports/control-store.ts';
import type { ApiDeps } from '../ports/deps.ts';
import type { AdminCall, Created } from './admin-call.ts';

export interface Making<T, P> {
  /** The transaction's zone. */
  readonly zoneId: ZoneId;
  /** '' on routes without zone; else the zone of the path. */
  readonly receiptZone: string;
  /** Work outside the transaction: sealing, hashing, asking the STS. Left out on a replay. */
  readonly prepare: () => Promise<P>;
  readonly write: (tx: ControlTransaction, prepared: P) => Promise<Omit<Created<T>, 'replayed'>>;
}

/** @throws conflict when the key was used for another request, and whatever the work throws. */
export async function createOnce<T extends object, P>(
  deps: ApiDeps,
  call: AdminCall,
  making: Making<T, P>,
): Promise<Created<T>> {
  const claim = claimOf(deps, call, making.receiptZone);
  if (claim !== undefined) {
    const known = await deps.store.peekReceipt(making.zoneId, claim.key);
    if (known !== undefined) return replay(known, claim.digests);
  }
  const prepared = await making.prepare();
  return deps.store.change(making.zoneId, call.facts, async (tx) => {
    const known = claim === undefined ? undefined : await tx.receipts.claim(claim.key);
    if (known !== undefined && claim !== undefined) return replay<T>(known, claim.digests);
    const created = await making.write(tx, prepared);
    if (claim !== undefined) {
      await tx.receipts.keep(claim.key, {
        bodyDigest: claim.digests[0] ?? '',
        status: created.status,
        // Entities are plain JSON by their types; absent members vanish here.
        response: JSON.parse(JSON.stringify(created.entity)) as JsonObject,
      });
    }
    return { ...created, replayed: false };
  });
}

interface Claim {
  readonly key: ReceiptKey;
  readonly digests: readonly string[];
}

function claimOf(deps: ApiDeps, { admin, idempotency }: AdminCall, zoneId: string): Claim | undefined {
  if (idempotency === undefined) return undefined;
  return {
    key: { actorId: admin.tokenId, zoneId, route: idempotency.route, keyDigest: sha256Hex(idempotency.key) },
    digests: deps.bodyDigests(canonicalJson(idempotency.request)),
  };
}

function replay<T>(receipt: Receipt, digests: readonly string[]): Created<T> {
  if (!digests.includes(receipt.bodyDigest)) {
    throw fail('conflict', { description: 'This Idempotency-Key was used for another request.' });
  }
  return { entity: receipt.response as T, status: receipt.status === 202 ? 202 : statusOf(receipt), replayed: true };
}

function statusOf({ status }: Receipt): 200 | 201 {
  return status === 200 ? 200 : 201;
}
