import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Admin, type Capability, formatAdminToken, judgeAdmin } from './admin.ts';

const zones = fc.constantFrom<string | undefined>(undefined, 'a', 'b');
const capability = fc.constantFrom<Capability>('read', 'write', 'approve', 'all');
const access = fc.constantFrom<'read' | 'write'>('read', 'write');
const admin = (zoneId: string | undefined, can: Capability): Admin => ({
  tokenId: 't',
  name: 'n',
  zoneId,
  capability: can,
});

describe('what an admin token may do', () => {
  test('never reaches beyond its own zone, the installation included', () => {
    fc.assert(
      fc.property(fc.constantFrom('a', 'b'), zones, capability, (own, wanted, can) => {
        for (const asked of ['read', 'write'] as const) {
          const verdict = judgeAdmin(admin(own, can), { zoneId: wanted, access: asked });
          if (wanted !== own) expect(verdict).toBe('admin_token_zone_mismatch');
        }
      }),
    );
  });

  test('changes something only with the capability to write', () => {
    fc.assert(
      fc.property(zones, zones, capability, (own, wanted, can) => {
        const verdict = judgeAdmin(admin(own, can), { zoneId: wanted, access: 'write' });
        if (verdict === 'allowed') expect(['write', 'all']).toContain(can);
      }),
    );
  });

  test('sees everywhere with a global token', () => {
    fc.assert(
      fc.property(zones, capability, access, (wanted, can, asked) => {
        const verdict = judgeAdmin(admin(undefined, can), { zoneId: wanted, access: asked });
        expect(verdict === 'allowed' || (asked === 'write' && verdict === 'admin_token_read_only')).toBe(true);
      }),
    );
  });

  test('decides approvals as a named approver only, and then does nothing else', () => {
    const sub = fc.option(fc.constant('alice'), { nil: undefined });
    fc.assert(
      fc.property(fc.record({ own: zones, wanted: zones, can: capability, sub }), (at) => {
        const verdict = judgeAdmin({ ...admin(at.own, at.can), sub: at.sub }, { zoneId: at.wanted, access: 'approve' });
        const mayReach = at.own === undefined || at.own === at.wanted;
        expect(verdict === 'allowed').toBe(mayReach && at.can === 'approve' && at.sub !== undefined);
        if (verdict !== 'allowed') expect(verdict).toBe(mayReach ? 'permission_denied' : 'admin_token_zone_mismatch');
      }),
    );
  });

  test('is written as cat_ and 43 characters', () => {
    expect(formatAdminToken(new Uint8Array(32))).toMatch(/^cat_[A-Za-z0-9_-]{43}$/);
  });
});
