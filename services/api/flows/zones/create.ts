// Makes a zone whole or not at all: its key comes sealed from the STS before the transaction, then zone, key, evidence and
// stream entries commit together. No policy set is active, so it denies everything.
import type { JsonObject } from '#mesh/failure';
import { type ZoneId, knownId } from '#mesh/ids';
import { checkZone } from './check-zone.ts';
import type { Zone } from '../../domain/zone.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type AdminCall, type Created, givenFields } from '../admin-call.ts';
import { withFreeSlug } from '../choose-slug.ts';
import { createOnce } from '../create-once.ts';

export interface CreateZone {
  readonly name: string;
  readonly slug?: string | undefined;
  readonly orgId?: string | undefined;
  readonly dcrEnabled?: boolean | undefined;
  readonly pkceRequired?: boolean | undefined;
  readonly loginFlow?: string | undefined;
  readonly calendar?: JsonObject | undefined;
  readonly recordInputs?: boolean | undefined;
}

/** The check key's length: that of the digest it keys. */
const checkKeyBytes = 32;

/** @throws invalid_request, conflict (slug), sts_unavailable, store_unavailable. */
export async function createZone(deps: ApiDeps, call: AdminCall, input: CreateZone): Promise<Created<Zone>> {
  checkZone(input);
  const zoneId = knownId<ZoneId>(deps.newId());
  return createOnce(deps, call, {
    zoneId,
    receiptZone: '',
    prepare: () => deps.sts.makeZoneKey(zoneId, deps.newId(), call.facts),
    write: async (tx, key) => {
      const secretCheckKey = deps.random(checkKeyBytes);
      const row = {
        id: zoneId,
        name: input.name,
        orgId: input.orgId,
        dcrEnabled: input.dcrEnabled ?? false,
        pkceRequired: input.pkceRequired ?? true,
        loginFlow: input.loginFlow ?? 'default',
        calendar: input.calendar,
        recordInputs: input.recordInputs ?? true,
        secretCheckKey,
      };
      const wish = { slug: input.slug, name: input.name, fallback: 'zone' };
      const zone = await withFreeSlug(wish, (slug) => tx.zones.insertIfFree({ ...row, slug }));
      await tx.record(call.admin, {
        action: 'zone.create',
        entityType: 'zone',
        entityId: zoneId,
        fields: givenFields(input),
      });
      await tx.invalidate('zone', zoneId, zone.version);
      await tx.installZoneKey(key);
      return { entity: zone, status: 201 };
    },
  });
}
