// Makes one version of one set what the zone enforces, and with it another one what the zone watches, when asked to.
import { fail } from '#mesh/failure';
import type { StreamNumber } from '#mesh/revocation';
import type { PolicySetVersion } from '../../domain/policy.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { type Changed, afterPropagation, holdVersion, readyVersion } from './change-enforcement.ts';

export interface ActivatePolicySet {
  readonly policySetId: string;
  readonly versionId: string;
  /** Of any set of the zone; null watches nothing, undefined leaves it as it is. */
  readonly shadowVersionId?: string | null | undefined;
  /** What the ledger calls it. */
  readonly verb: 'activate' | 'rollback';
  /** Milliseconds to wait until every live replica has it; undefined does not wait. */
  readonly waitMs?: number | undefined;
}

export interface Activated extends PolicySetVersion, Changed {
  readonly shadowVersionId?: string | undefined;
}

interface Wanted {
  readonly wish: ActivatePolicySet;
  readonly version: PolicySetVersion;
  /** Undefined leaves it as it is, null watches nothing. */
  readonly shadow: PolicySetVersion | null | undefined;
}

async function readyShadow(
  deps: ApiDeps,
  call: ZoneCall,
  { versionId, shadowVersionId }: ActivatePolicySet,
): Promise<Wanted['shadow']> {
  if (shadowVersionId === undefined || shadowVersionId === null) return shadowVersionId;
  if (shadowVersionId === versionId) {
    throw fail('invalid_request', { fields: [{ path: 'shadow_version_id', rule: 'another one than version_id' }] });
  }
  return readyVersion(deps, call, { policySetId: undefined, versionId: shadowVersionId });
}

/** What the zone will watch: activation ends the watching of the version itself. */
function shadowIdAfter({ shadow, version }: Wanted, before: PolicySetVersion | undefined): string | undefined {
  if (shadow !== undefined) return shadow?.id;
  return before?.id === version.id ? undefined : before?.id;
}

interface Roles {
  readonly activeId: string | undefined;
  readonly shadowId: string | undefined;
}

/** The shadow gives way first: no version is ever both. */
async function setRoles(tx: ControlTransaction, before: Roles, after: Roles): Promise<void> {
  const moves = before.shadowId !== after.shadowId;
  if (moves) await tx.enforcement.watch(undefined);
  if (before.activeId !== after.activeId) await tx.activate(after.activeId);
  if (moves && after.shadowId !== undefined) await tx.enforcement.watch(after.shadowId);
}

async function tell(
  tx: ControlTransaction,
  call: ZoneCall,
  { wish, version, before, after }: Wanted & { readonly before: Roles; readonly after: Roles },
): Promise<StreamNumber> {
  const { policySetId, verb } = wish;
  await tx.record(call.admin, {
    action: `policy_set.${verb}`,
    entityType: 'policy_set',
    entityId: policySetId,
    fields: ['activeVersionId', ...(before.shadowId === after.shadowId ? [] : ['shadowVersionId'])],
    facts: { policy_set_version_id: version.id, digest: version.digest },
  });
  const activation = {
    ...{ policySetId, versionId: version.id, digest: version.digest, verb },
    ...{ previousVersionId: before.activeId, shadowVersionId: after.shadowId },
  };
  await tx.recordActivation(call.admin, activation);
  return tx.invalidatePolicy(activation);
}

async function change(
  tx: ControlTransaction,
  call: ZoneCall,
  wanted: Wanted,
): Promise<{ activated: Activated; position: StreamNumber }> {
  const { version, shadow, wish } = wanted;
  await tx.requireZone();
  await tx.lockActivation();
  found(await tx.policySets.hold(wish.policySetId), 'policy set');
  await holdVersion(tx, version);
  if (shadow) await holdVersion(tx, shadow);
  const [active, watched] = [await tx.activeVersion(), await tx.enforcement.shadowVersion()];
  const before = { activeId: active?.id, shadowId: watched?.id };
  const after = { activeId: version.id, shadowId: shadowIdAfter(wanted, watched) };
  const { shadowId: shadowVersionId } = after;
  if (active?.id === version.id && before.shadowId === shadowVersionId) {
    return { activated: { ...active, shadowVersionId }, position: await tx.enforcement.lastChange() };
  }
  await setRoles(tx, before, after);
  const activated = found(await tx.policySetVersions.find(version.id), 'version of this policy set');
  const position = await tell(tx, call, { ...wanted, before, after });
  return { activated: { ...activated, shadowVersionId }, position };
}

/**
 * Activating what is active already changes nothing and succeeds.
 * @throws not_found, conflict (a policy of it was archived), policy_invalid, invalid_request (watching what is activated),
 * policy_engine_unavailable, sts_unavailable, barrier_timeout (the activation stands).
 */
export async function activatePolicySet(deps: ApiDeps, call: ZoneCall, wish: ActivatePolicySet): Promise<Activated> {
  const version = await readyVersion(deps, call, wish);
  const shadow = await readyShadow(deps, call, wish);
  const { activated, position } = await deps.store.change(call.zoneId, call.facts, async (tx) =>
    change(tx, call, { wish, version, shadow }),
  );
  const propagation = await afterPropagation(deps, position, wish.waitMs);
  return propagation === undefined ? activated : { ...activated, propagation };
}

/**
 * Activates an older version: the one named, or the one that was active before.
 * @throws not_found (no earlier version), and what activation throws.
 */
export async function rollBackPolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  {
    policySetId,
    versionId,
    waitMs,
  }: { policySetId: string; versionId: string | undefined; waitMs?: number | undefined },
): Promise<Activated> {
  const target =
    versionId ?? (await deps.store.read(call.zoneId, (tx) => tx.previouslyActive(policySetId)))?.id ?? undefined;
  if (target === undefined) throw fail('not_found', { description: 'No version of this set was active before.' });
  return activatePolicySet(deps, call, { policySetId, versionId: target, verb: 'rollback', waitMs });
}
