// A change of a thing that somebody has read before: the row is locked, the version compared, the change recorded and told.
import { fail } from '#mesh/failure';
import { type IfMatch, matchesVersion } from '../domain/entity-tag.ts';
import type { Collection } from '../ports/collection.ts';
import type { ControlTransaction } from '../ports/control-store.ts';
import type { ApiDeps } from '../ports/deps.ts';
import { type ZoneCall, found, givenFields } from './admin-call.ts';

interface Versioned {
  readonly id: string;
  readonly version: number;
}

export interface GuardedChange<T extends Versioned> {
  readonly id: string;
  /** What kind of thing it is: `application`. */
  readonly entity: string;
  readonly rows: (tx: ControlTransaction) => Pick<Collection<T>, 'lock'>;
  /** Undefined where the caller need not have read it (deletion). */
  readonly ifMatch: IfMatch | undefined;
  readonly verb: string;
  readonly fields: readonly string[];
  readonly apply: (tx: ControlTransaction, current: T) => Promise<T>;
  /** The last statements: invalidations and anchors. */
  readonly tell?: (tx: ControlTransaction, changed: T) => Promise<void>;
}

/** @throws not_found, version_mismatch, and whatever the change throws. */
export async function changeGuarded<T extends Versioned>(
  deps: ApiDeps,
  call: ZoneCall,
  change: GuardedChange<T>,
): Promise<T> {
  return deps.store.change(call.zoneId, call.facts, async (tx) => {
    // A zone's own row is locked below; holding it here first would make two writers wait for each other.
    if (change.entity !== 'zone') await tx.requireZone();
    const current = found(await change.rows(tx).lock(change.id), change.entity.replaceAll('_', ' '));
    if (change.ifMatch !== undefined && !matchesVersion(change.ifMatch, current.version)) {
      throw fail('version_mismatch', { details: { version: current.version } });
    }
    const changed = await change.apply(tx, current);
    await tx.record(call.admin, {
      action: `${change.entity}.${change.verb}`,
      entityType: change.entity,
      entityId: change.id,
      fields: change.fields,
    });
    await change.tell?.(tx, changed);
    return changed;
  });
}

/** The names of the fields a patch sets; none is refused, because it would count a version up for nothing. */
export function changedFields(patch: object): string[] {
  const names = givenFields(patch);
  if (names.length === 0) throw fail('invalid_request', { description: 'The request changes nothing.' });
  return names;
}
