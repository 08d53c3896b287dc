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
}

/** A token as it is shown: never the token itself. */
export interface AdminToken {
  readonly id: string;
  readonly name: string;
  readonly scope: 'global' | 'zone';
  readonly zoneId?: string | undefined;
  readonly capability: Capability;
  readonly createdBy: string;
  readonly createdAt: string;
}

/** What a route needs: the zone it works in (undefined: the installation) and whether it changes anything. */
export interface AdminNeed {
  readonly zoneId: string | undefined;
  readonly access: 'read' | 'write';
}

export type AdminVerdict = 'allowed' | 'admin_token_zone_mismatch' | 'admin_token_read_only';

/** A zone token reaches its own zone only, whatever it asks; a reading token changes nothing. */
export function judgeAdmin(admin: Admin, need: AdminNeed): AdminVerdict {
  if (admin.zoneId !== undefined && admin.zoneId !== need.zoneId) return 'admin_token_zone_mismatch';
  if (need.access === 'read') return 'allowed';
  return admin.capability === 'write' || admin.capability === 'all' ? 'allowed' : 'admin_token_read_only';
}

/** `cat_` and 32 random bytes in base64url. */
export function formatAdminToken(random: Uint8Array): string {
  return `cat_${Buffer.from(random).toString('base64url')}`;
}

/** Longer credentials are nobody's; the bound keeps digests of junk cheap. */
export const maxTokenLength = 4096;
