// Makes an admin token; the token itself is in this answer alone.
import { sha256 } from '#mesh/canonical';
import { SYSTEM_ZONE, type ZoneId, knownId } from '#mesh/ids';
import { type AdminToken, formatAdminToken } from '../../domain/admin.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { AdminCall, Created } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';

export interface CreateAdminToken {
  readonly name: string;
  readonly capability: 'read' | 'write' | 'approve';
  /** Who an approver is; with `approve`, and only then. */
  readonly sub?: string | undefined;
  /** Undefined makes a global one. */
  readonly zoneId: string | undefined;
}

const tokenBytes = 32;

/** @throws not_found (zone). */
export async function createAdminToken(
  deps: ApiDeps,
  call: AdminCall,
  input: CreateAdminToken,
): Promise<Created<AdminToken>> {
  const id = deps.newId();
  const { name, capability, sub, zoneId } = input;
  const token = formatAdminToken(deps.random(tokenBytes));
  return createOnce(deps, call, {
    // What concerns no single zone is told in the chain of the installation.
    zoneId: knownId<ZoneId>(zoneId ?? SYSTEM_ZONE),
    receiptZone: '',
    prepare: async () => undefined,
    write: async (tx) => {
      if (zoneId !== undefined) await tx.requireZone();
      const scope = zoneId === undefined ? 'global' : 'zone';
      const entity = await tx.insertAdminToken(
        { id, name, scope, zoneId, capability, sub, createdBy: call.admin.tokenId },
        sha256(token),
      );
      await tx.record(call.admin, {
        action: 'admin_token.create',
        entityType: 'admin_token',
        entityId: id,
        fields: ['name', 'scope', 'zoneId', 'capability', ...(sub === undefined ? [] : ['sub'])],
        facts: { scope, capability, ...(sub === undefined ? {} : { approver: sub }) },
      });
      return { entity, status: 201, once: { token } };
    },
  });
}
