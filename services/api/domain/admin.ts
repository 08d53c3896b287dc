// Who administers, and what a token of a given reach may do. Pure: the routes ask here before anything else happens.

export const capabilities = ['read', 'write', 'approve'] as const;
/** `all` is the bootstrap token's alone. */
export type Capability = (typeof capabilities)[number] | 'all';

/** The holder of an admin token. */
export interface Admin {
  readonly tokenId: string;
  readonly name: string;
  /** Undefined for a global token. */
  readonly zoneId: string | undefined;
  readonly capability: Capability;
  /** The name under which an approver's decisions stand; of approvers alone. */
  readonly sub?: string | undefined;
}

/** A token as it is shown: never the token itself. */
export interface AdminToken {
  readonly id: string;
  readonly name: string;
  readonly scope: 'global' | 'zone';
  readonly zoneId?: string | undefined;
  readonly capability: Capability;
  /** Who an approver is. */
  readonly sub?: string | undefined;
  readonly createdBy: string;
  readonly createdAt: string;
}

/** To see, to change, or to say whether something may be done. */
export type Access = 'read' | 'write' | 'approve';

/** What a route needs: the zone it works in (undefined: the installation) and what it does there. */
export interface AdminNeed {
  readonly zoneId: string | undefined;
  readonly access: Access;
}

export type AdminVerdict = 'allowed' | 'admin_token_zone_mismatch' | 'admin_token_read_only' | 'permission_denied';

/**
 * A zone token reaches its own zone only, whatever it asks; a reading token changes nothing. Whoever decides approvals does
 * nothing else, and under a name: not even the bootstrap token, which is nobody's, takes their place.
 */
export function judgeAdmin(admin: Admin, need: AdminNeed): AdminVerdict {
  if (admin.zoneId !== undefined && admin.zoneId !== need.zoneId) return 'admin_token_zone_mismatch';
  if (need.access === 'read') return 'allowed';
  if (need.access === 'approve') {
    return admin.capability === 'approve' && admin.sub !== undefined ? 'allowed' : 'permission_denied';
  }
  return admin.capability === 'write' || admin.capability === 'all' ? 'allowed' : 'admin_token_read_only';
}

/** `cat_` and 32 random bytes in base64url. */
export function formatAdminToken(random: Uint8Array): string {
  return `cat_${Buffer.from(random).toString('base64url')}`;
}

/** Longer credentials are nobody's; the bound keeps digests of junk cheap. */
export const maxTokenLength = 4096;
