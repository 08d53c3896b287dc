// Gives an application another secret; the one before stops working with the commit.
import { fail } from '#mesh/failure';
import type { Application } from '../../domain/application.ts';
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { makeClientSecret } from './create.ts';

/** @throws not_found, version_mismatch, conflict (only `token` has a secret), rate_limited. */
export async function rotateSecret(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch }: { id: string; ifMatch: IfMatch | undefined },
): Promise<{ application: Application; clientSecret: string }> {
  const before = await deps.store.read(call.zoneId, (tx) => tx.applications.find(id));
  if (found(before, 'application').credentialType !== 'token') {
    throw fail('conflict', { description: 'This application has no secret.' });
  }
  const { secret, hash } = await makeClientSecret(deps, call, id);
  const application = await changeGuarded<Application>(deps, call, {
    id,
    entity: 'application',
    rows: (tx) => tx.applications,
    ifMatch,
    verb: 'rotate_secret',
    fields: ['secret'],
    apply: (tx) => tx.applications.update(id, { secretHash: hash }),
    tell: (tx, changed) => tx.invalidate('application', id, changed.version),
  });
  return { application, clientSecret: secret };
}
