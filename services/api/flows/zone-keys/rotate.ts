// Gives a zone another signing key. The key comes sealed from the STS before the transaction; it is published at once and
// signs when every verifier may know it. After a leak it signs at once, and whatever the keys before it signed is refused.
import { fail } from '#mesh/failure';
import type { StreamNumber } from '#mesh/revocation';
import { type IfMatch, matchesVersion } from '../../domain/entity-tag.ts';
import { type ZoneKey, maxLiveKeys } from '../../domain/zone-key.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneKeyRow } from '../../ports/zone-keys.ts';
import { type Created, type ZoneCall, found } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { afterBarrier } from '../revocations/wait.ts';

export interface RotateZoneKey {
  /** The keys so far have leaked, or may have. */
  readonly retirePrevious: boolean;
  readonly reason: string;
  /** Compared with the newest key's version. */
  readonly ifMatch: IfMatch | undefined;
  /** Milliseconds to wait until every replica knows; undefined does not wait. */
  readonly waitMs: number | undefined;
}

export interface RotatedZoneKey extends ZoneKey {
  /** Kids that are refused from now on. */
  readonly retired?: readonly string[] | undefined;
  readonly revocationNumber?: number | undefined;
}

/** What the receipt keeps beside the key, so that a replay waits for the first call's numbers. */
interface Kept extends RotatedZoneKey {
  readonly position: StreamNumber;
}

export interface KeysApplied {
  readonly applied: boolean;
  readonly points: number;
  readonly gone: number;
  readonly elapsedMs: number;
}

async function write(
  tx: ControlTransaction,
  call: ZoneCall,
  { key, input, leadSeconds }: { key: ZoneKeyRow; input: RotateZoneKey; leadSeconds: number },
): Promise<Kept> {
  const { retirePrevious, reason, ifMatch } = input;
  const { live, newest } = await tx.zoneKeys.lock();
  if (ifMatch !== undefined && !matchesVersion(ifMatch, newest)) {
    throw fail('version_mismatch', { details: { version: newest } });
  }
  if (!retirePrevious && live >= maxLiveKeys) {
    throw fail('conflict', {
      description: `The zone has ${live} keys in use; each leaves an hour after it signed last.`,
    });
  }
  await tx.record(call.admin, {
    action: 'zone_key.rotate',
    entityType: 'zone_key',
    entityId: key.keyId,
    fields: ['retire_previous', 'reason'],
    facts: { retire_previous: retirePrevious, reason },
  });
  const replaced = retirePrevious ? await tx.zoneKeys.replace(key, reason) : undefined;
  const position = replaced?.position ?? (await tx.zoneKeys.rotate(key, { leadSeconds, reason }));
  const row = found(await tx.zoneKeys.find(key.keyId), 'key');
  return { ...row, position, retired: replaced?.retired, revocationNumber: replaced?.revocationNumber };
}

/**
 * A replay makes no key and waits for the first call's.
 * @throws not_found (zone), version_mismatch, conflict (too many keys, or the Idempotency-Key of another request),
 * sts_unavailable, barrier_timeout (the rotation stands).
 */
export async function rotateZoneKey(
  deps: ApiDeps,
  call: ZoneCall,
  input: RotateZoneKey,
): Promise<Created<RotatedZoneKey> & { readonly barrier?: KeysApplied | undefined }> {
  const { zoneId } = call;
  const created = await createOnce<Kept, ZoneKeyRow>(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: () => deps.sts.makeZoneKey(zoneId, deps.newId(), call.facts),
    write: async (tx, key) => {
      await tx.requireZone();
      const leadSeconds = deps.zoneKeyLeadSeconds;
      return { entity: await write(tx, call, { key, input, leadSeconds }), status: 201 };
    },
  });
  const { position, ...entity } = created.entity;
  return { ...created, entity, barrier: await applied(deps, { position, ...entity }, input.waitMs) };
}

/** Until nobody accepts a retired key, and every replica reads the new one. */
async function applied(
  deps: Pick<ApiDeps, 'barrier' | 'propagation'>,
  { position, revocationNumber }: Kept,
  waitMs: number | undefined,
): Promise<KeysApplied | undefined> {
  if (waitMs === undefined) return undefined;
  const revoked =
    revocationNumber === undefined ? undefined : (await afterBarrier(deps, revocationNumber, waitMs)).barrier;
  const spentMs = revoked?.elapsedMs ?? 0;
  const { points, elapsedMs } = await deps.propagation.wait(position, Math.max(1, waitMs - spentMs));
  return { applied: true, points, gone: revoked?.gone ?? 0, elapsedMs: spentMs + elapsedMs };
}
