// What a change tells: the ledger's event, the invalidations that make caches forget, and the anchors. All of it in the
// change's own transaction.
import type { JsonObject } from '#mesh/failure';
import { enqueueAuditEvent, enqueueNumbered } from '#mesh/outbox';
import { type ZoneTransaction, int8 } from '#mesh/postgres';
import type { StreamNumber } from '#mesh/revocation';
import type { Admin } from '../../domain/admin.ts';
import type { AnchorChoice } from '../../domain/revocation.ts';
import type { Activation, CachedKind, CallFacts, Mutation } from '../../ports/control-store.ts';
import type { ZoneKeyRow } from '../../ports/zone-keys.ts';
import { keepChange } from './enforcement-rows.ts';
import { columnOf } from './table-shape.ts';

type Actor = Pick<Admin, 'tokenId' | 'name' | 'zoneId'>;

function actorFacts({ tokenId, name, zoneId }: Actor): JsonObject {
  return { actor_id: tokenId, actor_name: name, actor_scope: zoneId === undefined ? 'global' : 'zone' };
}

export async function recordMutation(
  tx: ZoneTransaction,
  facts: CallFacts,
  { actor, mutation }: { actor: Actor; mutation: Mutation },
): Promise<void> {
  await enqueueAuditEvent(tx, {
    zoneId: tx.zoneId,
    eventType: 'admin.mutation',
    requestId: facts.requestId,
    traceId: facts.traceId,
    metadata: {
      ...mutation.facts,
      ...actorFacts(actor),
      action: mutation.action,
      entity_type: mutation.entityType,
      entity_id: mutation.entityId,
      fields: mutation.fields.map(columnOf),
    },
  });
}

export async function recordActivation(
  tx: ZoneTransaction,
  facts: CallFacts,
  { actor, activation }: { actor: Actor; activation: Activation },
): Promise<void> {
  await enqueueAuditEvent(tx, {
    zoneId: tx.zoneId,
    eventType: 'policy.activated',
    requestId: facts.requestId,
    traceId: facts.traceId,
    policySetId: activation.policySetId,
    policySetVersionId: activation.versionId,
    manifestSha: activation.digest,
    metadata: {
      ...actorFacts(actor),
      enforced: activation.versionId !== undefined,
      ...(activation.verb === undefined ? {} : { verb: activation.verb }),
      ...(activation.previousVersionId === undefined ? {} : { previous_version_id: activation.previousVersionId }),
      ...(activation.shadowVersionId === undefined ? {} : { shadow_version_id: activation.shadowVersionId }),
    },
  });
}

export async function invalidatePolicy(
  tx: ZoneTransaction,
  facts: CallFacts,
  activation: Activation,
): Promise<StreamNumber> {
  const number = await enqueueNumbered(tx, {
    stream: 'caracal.policy.invalidate',
    zoneId: tx.zoneId,
    traceparent: facts.traceparent,
    payload: {
      zoneId: tx.zoneId,
      policySetId: activation.policySetId,
      policySetVersionId: activation.versionId ?? '',
    },
  });
  return keepChange(tx, number);
}

export async function invalidateCached(
  tx: ZoneTransaction,
  facts: CallFacts,
  cached: { kind: CachedKind; id: string; version: number },
): Promise<void> {
  await enqueueNumbered(tx, {
    stream: 'caracal.resources.invalidate',
    zoneId: tx.zoneId,
    traceparent: facts.traceparent,
    // proto3 JSON writes int64 as text.
    payload: { zoneId: tx.zoneId, kind: cached.kind, id: cached.id, version: String(cached.version) },
  });
}

export async function installZoneKey(tx: ZoneTransaction, key: ZoneKeyRow): Promise<void> {
  await tx.query('SELECT sts_pub.install_zone_key($1, $2, $3, $4)', [
    tx.zoneId,
    key.keyId,
    key.publicJwkJson,
    key.envelope,
  ]);
}

export async function writeAnchors(
  tx: ZoneTransaction,
  anchors: readonly AnchorChoice[],
  reason: string,
): Promise<number> {
  const rows = anchors.map(({ kind, id }) => ({ kind, anchor: id }));
  const row = await tx.one<{ number: string }>('SELECT sts_pub.revoke($1, $2, $3) AS number', [
    tx.zoneId,
    JSON.stringify(rows),
    reason,
  ]);
  return int8(row?.number ?? 0);
}

/** The provider of the connection that ended; undefined when there was none to end. */
export async function revokeConnection(tx: ZoneTransaction, id: string): Promise<string | undefined> {
  const row = await tx.one<{ provider_id: string | null }>('SELECT sts_pub.revoke_connection($1, $2) AS provider_id', [
    tx.zoneId,
    id,
  ]);
  return row?.provider_id ?? undefined;
}
