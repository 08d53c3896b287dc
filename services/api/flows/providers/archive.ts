// Ends a provider that no live resource needs any more, and with it every connection there is to it.
import { fail } from '#mesh/failure';
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { Provider } from '../../domain/provider-kind.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { endConnections } from '../connections/end-all.ts';

/** @throws not_found, version_mismatch, conflict (a resource uses it). */
export async function archiveProvider(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch }: { id: string; ifMatch: IfMatch | undefined },
): Promise<void> {
  await changeGuarded<Provider>(deps, call, {
    id,
    entity: 'provider',
    rows: (tx) => tx.providers,
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: async (tx) => {
      // The row is locked: a resource that is about to name it waits, and finds it gone.
      if (await tx.hasResourceOf(id)) throw fail('conflict', { description: 'A resource uses this provider.' });
      // Tokens of a provider that is gone are of use to nobody but a thief.
      await endConnections(tx, id);
      return tx.providers.archive(id);
    },
    tell: (tx, changed) => tx.invalidate('provider', id, changed.version),
  });
}
