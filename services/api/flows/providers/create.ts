// Describes how an upstream gets its credential. Secrets are sealed before the transaction and never come back.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { type Provider, type ProviderKind, providerProblems } from '../../domain/provider-kind.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, found, givenFields } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';
import { sealSecrets } from './seal.ts';

export interface CreateProvider {
  readonly identifier: string;
  readonly name?: string | undefined;
  readonly kind: ProviderKind;
  readonly config?: JsonObject | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

/** @throws invalid_request, not_found (zone), conflict (identifier), sts_unavailable. */
export async function createProvider(deps: ApiDeps, call: ZoneCall, input: CreateProvider): Promise<Created<Provider>> {
  const { kind, config = {}, secrets = {} } = input;
  const fields = providerProblems({ kind, config, given: secrets }, deps.subjectIssuerRules);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  const { zoneId } = call;
  const id = deps.newId();
  return createOnce(deps, call, {
    zoneId,
    receiptZone: zoneId,
    prepare: () => sealSecrets(deps, call, secrets),
    write: async (tx, sealed) => {
      await tx.requireZone();
      const name = input.name ?? input.identifier;
      await tx.providers.insert({ id, zoneId, identifier: input.identifier, name, kind, config });
      await tx.putSecrets(id, sealed);
      const entity = found(await tx.providers.find(id), 'provider');
      await tx.record(call.admin, {
        action: 'provider.create',
        entityType: 'provider',
        entityId: id,
        fields: givenFields(input),
      });
      await tx.invalidate('provider', id, entity.version);
      return { entity, status: 201 };
    },
  });
}
