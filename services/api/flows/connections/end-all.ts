// Ends every connection to a provider, in the transaction that makes them worthless or dangerous to keep.
import type { ControlTransaction } from '../../ports/control-store.ts';

/** What one page may hold. */
const pageSize = 500;

/** The caller tells the replicas by an invalidation of the provider. */
export async function endConnections(tx: ControlTransaction, providerId: string): Promise<void> {
  for (const state of ['active', 'broken'] as const) {
    for (;;) {
      const { items } = await tx.connections.page({ limit: pageSize, cursor: undefined }, { providerId, state });
      for (const { id } of items) await tx.revokeConnection(id);
      if (items.length < pageSize) break;
    }
  }
}
