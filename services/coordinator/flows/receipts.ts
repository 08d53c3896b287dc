// Idempotency keys belong to the application that used them: nobody learns or blocks another's results by guessing its keys.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { fail, type JsonValue } from '#mesh/failure';
import type { MandateCaller } from '../domain/caller.ts';
import type { GraphTransaction } from '../ports/session-graph.ts';

/** One application's use of a key for one operation. */
export interface KeyUse {
  readonly operation: string;
  readonly key: string;
  readonly requestDigest: string;
}

/** Undefined when the request carries no key. Absent and undefined fields of a request are the same. */
export function keyUse(
  caller: MandateCaller,
  operation: string,
  request: { readonly idempotencyKey: string | undefined },
): KeyUse | undefined {
  if (request.idempotencyKey === undefined) return undefined;
  const present = Object.entries(request).filter(([, value]) => value !== undefined);
  return {
    operation: `${operation}:${caller.clientId}`,
    key: request.idempotencyKey,
    requestDigest: sha256Hex(canonicalJson(Object.fromEntries(present) as Record<string, JsonValue>)),
  };
}

/** What the key stands for already. @throws conflict when it was used for another request. */
export async function earlierResult(tx: GraphTransaction, use: KeyUse | undefined): Promise<string | undefined> {
  if (use === undefined) return undefined;
  const receipt = await tx.receipt(use.operation, use.key);
  if (receipt !== undefined && receipt.requestDigest !== use.requestDigest)
    throw fail('conflict', { description: 'the idempotency key was used for another request' });
  return receipt?.resultId;
}

export async function keepResult(tx: GraphTransaction, use: KeyUse | undefined, resultId: string): Promise<void> {
  if (use !== undefined) await tx.keepReceipt(use.operation, use.key, { resultId, requestDigest: use.requestDigest });
}

export async function forgetResult(tx: GraphTransaction, use: KeyUse | undefined): Promise<void> {
  if (use !== undefined) await tx.forgetReceipt(use.operation, use.key);
}
