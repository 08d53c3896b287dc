// What a zone watches: a version that is evaluated beside the active one on every decision, whose differences are recorded
// and which is never enforced.
import { fail } from '#mesh/failure';
import type { StreamNumber } from '#mesh/revocation';
import type { PolicySetVersion } from '../../domain/policy.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { type Changed, type Propagated, afterPropagation, holdVersion, readyVersion } from './change-enforcement.ts';

export interface WatchPolicySet {
  readonly policySetId: string;
  /** Undefined watches nothing any more. */
  readonly versionId: string | undefined;
  readonly waitMs?: number | undefined;
}

export interface Watched extends Changed {
  readonly version: PolicySetVersion | undefined;
}

async function tell(tx: ControlTransaction, call: ZoneCall, watched: WatchPolicySet): Promise<StreamNumber> {
  const { policySetId, versionId } = watched;
  await tx.record(call.admin, {
    action: versionId === undefined ? 'policy_set.unwatch' : 'policy_set.watch',
    entityType: 'policy_set',
    entityId: policySetId,
    fields: ['shadowVersionId'],
    ...(versionId === undefined ? {} : { facts: { policy_set_version_id: versionId } }),
  });
  return tx.invalidatePolicy({ policySetId, versionId, digest: undefined });
}

async function change(tx: ControlTransaction, call: ZoneCall, wish: WatchPolicySet): Promise<StreamNumber> {
  const { policySetId, versionId } = wish;
  await tx.requireZone();
  await tx.lockActivation();
  found(await tx.policySets.hold(policySetId), 'policy set');
  const watched = await tx.enforcement.shadowVersion();
  if (versionId === undefined && watched?.policySetId !== policySetId) {
    throw fail('conflict', { description: 'The zone watches no version of this policy set.' });
  }
  if (versionId !== undefined) {
    if ((await tx.activeVersion())?.id === versionId) {
      throw fail('conflict', { description: 'The zone enforces this version; there is nothing to watch beside it.' });
    }
    await holdVersion(tx, found(await tx.policySetVersions.find(versionId), 'version of this policy set'));
  }
  if (watched?.id === versionId) return tx.enforcement.lastChange();
  await tx.enforcement.watch(versionId);
  return tell(tx, call, wish);
}

/**
 * Watching what is watched already changes nothing and succeeds.
 * @throws not_found, conflict (enforced, not watched, or a policy of it was archived), policy_invalid,
 * policy_engine_unavailable, sts_unavailable, barrier_timeout (the change stands).
 */
export async function watchPolicySet(deps: ApiDeps, call: ZoneCall, wish: WatchPolicySet): Promise<Watched> {
  const { policySetId, versionId, waitMs } = wish;
  const version = versionId === undefined ? undefined : await readyVersion(deps, call, { policySetId, versionId });
  const position = await deps.store.change(call.zoneId, call.facts, async (tx) => change(tx, call, wish));
  const propagation: Propagated | undefined = await afterPropagation(deps, position, waitMs);
  return { version, propagation };
}
