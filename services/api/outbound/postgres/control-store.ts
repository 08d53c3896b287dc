// The ControlStore on Postgres: zone-bound transactions, rows by their shapes, events with their cause.
import { fail } from '#mesh/failure';
import { SYSTEM_ZONE } from '#mesh/ids';
import type { Database, Transaction, ZoneTransaction } from '#mesh/postgres';
import type {
  CallFacts,
  ControlReads,
  ControlStore,
  ControlTransaction,
  SealedSecret,
} from '../../ports/control-store.ts';
import {
  bootstrapAuthor,
  insertAdminToken,
  selectAdmin,
  selectAdminToken,
  selectAdminTokenPage,
  updateRevoked,
  upsertBootstrap,
} from './admin-token-rows.ts';
import { createApprovalRows } from './approval-rows.ts';
import { createCollection, selectPage } from './collection.ts';
import { enforcementReads, policyEnforcement } from './enforcement-rows.ts';
import {
  installZoneKey,
  invalidateCached,
  invalidatePolicy,
  recordActivation,
  recordMutation,
  revokeConnection,
  writeAnchors,
} from './control-events.ts';
import {
  lockActivation,
  selectActiveVersion,
  selectNextVersion,
  selectPreviouslyActive,
  selectSources,
  selectVersionByContent,
  updateActive,
} from './policy-rows.ts';
import { claimReceipt, insertReceipt, selectReceipt } from './receipt-rows.ts';
import {
  applicationShape,
  connectionShape,
  grantShape,
  policySetShape,
  policySetVersionShape,
  policyShape,
  policyVersionShape,
  providerShape,
  resourceShape,
  subjectIssuerShape,
  zoneShape,
} from './table-shapes.ts';
import { createZoneKeyRows } from './zone-key-rows.ts';

export function createControlStore(database: Database): ControlStore {
  return {
    change: (zoneId, facts, work) =>
      database.inZone(zoneId, (tx) => work(controlTransaction(tx, facts)), { requestId: facts.requestId }),
    read: (zoneId, work) =>
      database.inZone(
        zoneId,
        async (tx) => {
          await requireZone(tx, '');
          return work(controlReads(tx));
        },
        { readOnly: true },
      ),
    pageZones: (query) => database.acrossZones((tx) => selectPage(tx, zoneShape, { query })),
    findAdmin: (digest) => selectAdmin(database, digest),
    findAdminToken: (id) => selectAdminToken(database, id),
    pageAdminTokens: (query) => selectAdminTokenPage(database, query),
    peekReceipt: (zoneId, key) => database.inZone(zoneId, (tx) => selectReceipt(tx, key), { readOnly: true }),
    bootstrapToken: (token, facts) =>
      database.inZone(SYSTEM_ZONE, async (tx) => {
        const outcome = await upsertBootstrap(tx, token);
        if (outcome === 'added') {
          const actor = { tokenId: token.id, name: bootstrapAuthor, zoneId: undefined };
          const entity = { entityType: 'admin_token', entityId: token.id, fields: [] };
          await recordMutation(tx, facts, { actor, mutation: { action: 'admin_token.bootstrap', ...entity } });
        }
        return outcome;
      }),
  };
}

/** Row-level security shows the one zone of the transaction, or none. */
async function requireZone(tx: ZoneTransaction, lock: 'FOR SHARE' | ''): Promise<void> {
  const text = `SELECT 1 AS live FROM api.zones WHERE id = $1 AND archived_at IS NULL ${lock}`;
  const row = await tx.one<{ live: number }>(text, [tx.zoneId]);
  if (row === undefined) throw fail('not_found', { description: 'There is no such zone.' });
}

function controlReads(tx: ZoneTransaction): ControlReads {
  return {
    zones: createCollection(tx, zoneShape),
    applications: createCollection(tx, applicationShape),
    providers: createCollection(tx, providerShape),
    connections: createCollection(tx, connectionShape),
    resources: createCollection(tx, resourceShape),
    subjectIssuers: createCollection(tx, subjectIssuerShape),
    grants: createCollection(tx, grantShape),
    policies: createCollection(tx, policyShape),
    policyVersions: createCollection(tx, policyVersionShape),
    policySets: createCollection(tx, policySetShape),
    policySetVersions: createCollection(tx, policySetVersionShape),
    zoneKeys: createZoneKeyRows(tx),
    approvals: createApprovalRows(tx),
    policySources: (versionIds) => selectSources(tx, versionIds),
    enforcement: enforcementReads(tx),
    activeVersion: () => selectActiveVersion(tx),
    previouslyActive: (policySetId) => selectPreviouslyActive(tx, policySetId),
    secretCheckKey: async () => {
      const row = await tx.one<{ secret_check_key: Buffer }>(
        'SELECT secret_check_key FROM api.zones WHERE id = $1 AND archived_at IS NULL',
        [tx.zoneId],
      );
      if (row === undefined) throw fail('not_found');
      return row.secret_check_key;
    },
  };
}

function controlTransaction(tx: ZoneTransaction, facts: CallFacts): ControlTransaction {
  return {
    ...controlReads(tx),
    requireZone: () => requireZone(tx, 'FOR SHARE'),
    receipts: {
      claim: (key) => claimReceipt(tx, key),
      keep: (key, receipt) => insertReceipt(tx, key, receipt),
    },
    putSecrets: (providerId, secrets) => putSecrets(tx, { zoneId: tx.zoneId, providerId }, secrets),
    hasResourceOf: async (providerId) => {
      const text = 'SELECT EXISTS (SELECT FROM api.resources WHERE provider_id = $1 AND archived_at IS NULL) AS used';
      return (await tx.one<{ used: boolean }>(text, [providerId]))?.used === true;
    },
    archiveGrantsOf: async (subjectIssuerId) => {
      const rows = await tx.query<{ subject: string }>(
        `UPDATE api.grants SET archived_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1
          WHERE zone_id = $1 AND subject_issuer_id = $2 AND archived_at IS NULL RETURNING subject`,
        [tx.zoneId, subjectIssuerId],
      );
      return [...new Set(rows.map(({ subject }) => subject))].toSorted();
    },
    revokeConnection: (id) => revokeConnection(tx, id),
    findPolicyVersionByContent: (policyId, sha256) => selectVersionByContent(tx, policyId, sha256),
    nextVersion: (of) => selectNextVersion(tx, of),
    lockActivation: () => lockActivation(tx),
    enforcement: policyEnforcement(tx),
    activate: (versionId) => updateActive(tx, versionId),
    insertAdminToken: (token, digest) => insertAdminToken(tx, token, digest),
    revokeAdminToken: (tokenId) => updateRevoked(tx, tokenId),
    record: (actor, mutation) => recordMutation(tx, facts, { actor, mutation }),
    recordActivation: (actor, activation) => recordActivation(tx, facts, { actor, activation }),
    invalidatePolicy: (activation) => invalidatePolicy(tx, facts, activation),
    invalidate: (kind, id, version) => invalidateCached(tx, facts, { kind, id, version }),
    installZoneKey: (key) => installZoneKey(tx, key),
    revoke: (anchors, reason) => writeAnchors(tx, anchors, reason),
  };
}

async function putSecrets(
  tx: Transaction,
  { zoneId, providerId }: { zoneId: string; providerId: string },
  secrets: readonly SealedSecret[],
): Promise<void> {
  for (const { name, rowId, envelope } of secrets) {
    // Replaced and not updated: the API may not read an envelope, not even one that it is about to write.
    await tx.execute('DELETE FROM api.provider_secrets WHERE provider_id = $1 AND name = $2', [providerId, name]);
    await tx.execute(
      'INSERT INTO api.provider_secrets (provider_id, zone_id, name, envelope, row_id) VALUES ($1, $2, $3, $4, $5)',
      [providerId, zoneId, name, envelope, rowId],
    );
  }
}
