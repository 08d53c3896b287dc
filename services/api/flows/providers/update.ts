// Changes a provider. Secrets that are not named stay as they are, and as far as they reach; its kind never changes.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { movesTokens, reachProblems } from '../../domain/credential-reach.ts';
import type { IfMatch } from '../../domain/entity-tag.ts';
import { type Provider, providerProblems } from '../../domain/provider-kind.ts';
import type { Patch } from '../../ports/collection.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { changedFields, changeGuarded } from '../change-guarded.ts';
import { endConnections } from '../connections/end-all.ts';
import { sealSecrets } from './seal.ts';

export interface UpdateProvider {
  readonly id: string;
  readonly patch: Patch<Provider>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly ifMatch: IfMatch;
  /** What is wrong with this configuration for a kind; the shapes are the edge's. */
  readonly configProblems: (kind: Provider['kind'], config: unknown) => readonly { path: string; rule: string }[];
}

/** @throws invalid_request, not_found, version_mismatch, conflict (identifier), sts_unavailable. */
export async function updateProvider(deps: ApiDeps, call: ZoneCall, update: UpdateProvider): Promise<Provider> {
  const { id, patch, secrets } = update;
  const hasSecrets = Object.keys(secrets).length > 0;
  const fields = changedFields({ ...patch, ...(hasSecrets ? { secrets } : {}) });
  const before = found(await deps.store.read(call.zoneId, (tx) => tx.providers.find(id)), 'provider');
  const problems = [
    ...(patch.config === undefined ? [] : update.configProblems(before.kind, patch.config)),
    ...providerProblems(
      // A new configuration may need a secret that the one before did without.
      { kind: before.kind, config: patch.config ?? before.config, given: secrets, known: before.secretNames },
      deps.subjectIssuerRules,
    ),
  ];
  if (problems.length > 0) throw fail('invalid_request', { fields: problems });
  const sealed = await sealSecrets(deps, call, secrets);
  return changeGuarded<Provider>(deps, call, {
    id,
    entity: 'provider',
    rows: (tx) => tx.providers,
    ifMatch: update.ifMatch,
    verb: 'update',
    fields,
    apply: async (tx, current) => {
      if (patch.config) await changeReach(tx, current, { config: patch.config, secrets });
      await tx.putSecrets(id, sealed);
      return tx.providers.update(id, patch);
    },
    tell: (tx, changed) => tx.invalidate('provider', id, changed.version),
  });
}

/** Judged on the locked row. Refresh tokens were given to the server of before and are shown to no other. */
async function changeReach(
  tx: ControlTransaction,
  { id, kind, config: before }: Provider,
  { config: after, secrets }: { config: JsonObject; secrets: Readonly<Record<string, string>> },
): Promise<void> {
  const fields = reachProblems(kind, { before, after }, secrets);
  if (fields.length > 0) throw fail('invalid_request', { fields });
  if (movesTokens(before, after)) await endConnections(tx, id);
}
