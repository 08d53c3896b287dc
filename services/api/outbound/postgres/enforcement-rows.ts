// Statements on what a zone watches and how far its last change of policy has come.
import { type Transaction, type ZoneTransaction, int8 } from '#mesh/postgres';
import type { StreamNumber } from '#mesh/revocation';
import type { PolicySetVersion } from '../../domain/policy.ts';
import type { EnforcementReads, PolicyEnforcement } from '../../ports/policy-enforcement.ts';
import { selectSources } from './policy-rows.ts';
import { readRow, selection } from './table-shape.ts';
import { policySetVersionShape } from './table-shapes.ts';

const stream = 'caracal.policy.invalidate';

interface NumberRow {
  readonly incarnation: string;
  readonly number: string;
}

const asNumber = ({ incarnation, number }: NumberRow): StreamNumber => ({ stream, incarnation, number: int8(number) });

async function selectShadow(tx: Transaction): Promise<PolicySetVersion | undefined> {
  const row = await tx.one<Readonly<Record<string, unknown>>>(
    `SELECT ${selection(policySetVersionShape)} FROM api.policy_set_versions AS t WHERE t.shadow`,
  );
  return row === undefined ? undefined : readRow(policySetVersionShape, row);
}

/** A zone that changed before numbers were kept has waited for every number given since. */
async function selectLastChange(tx: Transaction): Promise<StreamNumber> {
  const row = await tx.one<NumberRow>(
    `SELECT coalesce(c.incarnation, h.incarnation) AS incarnation, coalesce(c.number, h.head) AS number
     FROM api.stream_heads AS h LEFT JOIN api.policy_changes AS c ON true WHERE h.stream = $1`,
    [stream],
  );
  return asNumber(row ?? { incarnation: '', number: '0' });
}

async function lockPolicies(tx: Transaction, versionIds: readonly string[]): Promise<void> {
  await tx.query(
    `SELECT p.id FROM api.policies AS p
     WHERE p.id IN (SELECT v.policy_id FROM api.policy_versions AS v WHERE v.id = ANY ($1))
     ORDER BY p.id FOR SHARE`,
    [versionIds],
  );
}

async function updateShadow(tx: Transaction, versionId: string | undefined): Promise<void> {
  await tx.execute('UPDATE api.policy_set_versions SET shadow = false WHERE shadow AND id IS DISTINCT FROM $1', [
    versionId ?? null,
  ]);
  if (versionId === undefined) return;
  await tx.execute('UPDATE api.policy_set_versions SET shadow = true WHERE id = $1 AND NOT shadow', [versionId]);
}

/** Keeps the number this transaction has just taken; the stream's head is locked since. */
export async function keepChange(tx: ZoneTransaction, number: number): Promise<StreamNumber> {
  const row = await tx.one<NumberRow>(
    `INSERT INTO api.policy_changes (zone_id, number, incarnation)
     SELECT $1, $2, h.incarnation FROM api.stream_heads AS h WHERE h.stream = $3
     ON CONFLICT (zone_id) DO UPDATE
       SET number = excluded.number, incarnation = excluded.incarnation, changed_at = clock_timestamp()
     RETURNING incarnation, number`,
    [tx.zoneId, number, stream],
  );
  return asNumber(row ?? { incarnation: '', number: String(number) });
}

export function enforcementReads(tx: Transaction): EnforcementReads {
  return { shadowVersion: () => selectShadow(tx), lastChange: () => selectLastChange(tx) };
}

export function policyEnforcement(tx: ZoneTransaction): PolicyEnforcement {
  return {
    ...enforcementReads(tx),
    async lockSources(versionIds) {
      await lockPolicies(tx, versionIds);
      return selectSources(tx, versionIds);
    },
    watch: (versionId) => updateShadow(tx, versionId),
  };
}
