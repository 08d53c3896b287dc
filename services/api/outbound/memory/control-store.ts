// The ControlStore in memory, for tests of flows: a change that throws leaves nothing, and what it told is kept to be read.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { microsecondText } from '#mesh/time';
import type { AdminToken } from '../../domain/admin.ts';
import type { Application } from '../../domain/application.ts';
import type { Connection } from '../../domain/connection.ts';
import type { Grant } from '../../domain/grant.ts';
import type { Policy, PolicySet, PolicySetVersion, PolicySource, PolicyVersion } from '../../domain/policy.ts';
import type { Provider } from '../../domain/provider-kind.ts';
import type { Resource } from '../../domain/resource.ts';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { Zone } from '../../domain/zone.ts';
import type {
  ControlStore,
  ControlTransaction,
  Mutation,
  Receipt,
  ReceiptKey,
  SealedSecret,
} from '../../ports/control-store.ts';
import type { ZoneKeyRow } from '../../ports/zone-keys.ts';
import { createMemoryApprovals } from './approvals.ts';
import { createMemoryCollection, type MemoryTable } from './collection.ts';
import { createMemoryEnforcement, policyNumber } from './enforcement.ts';
import { createMemoryZoneKeys } from './zone-keys.ts';

const tableNames = [
  ...(['zones', 'applications', 'providers', 'connections', 'resources', 'subjectIssuers', 'grants'] as const),
  ...(['policies', 'policyVersions', 'policySets', 'policySetVersions', 'zoneKeys', 'approvals'] as const),
] as const;
type TableName = (typeof tableNames)[number];

interface State {
  readonly tables: Record<TableName, MemoryTable>;
  readonly receipts: Map<string, Receipt>;
  readonly secrets: Map<string, readonly SealedSecret[]>;
  /** `replaced`: revoked until the environment names it again. */
  readonly tokens: (AdminToken & { readonly digest: string; revoked: boolean; replaced?: boolean })[];
  /** Everything told, in order: the ledger's events, invalidations, keys and anchors. */
  readonly told: { readonly kind: string; readonly what: JsonObject }[];
  numbers: number;
  policyChanges: number;
}

export interface MemoryControlStore extends ControlStore {
  readonly state: () => State;
}

const hiddenFields = ['secretHash', 'secretCheckKey', 'content'];

const emptyState = (): State => ({
  tables: Object.fromEntries(tableNames.map((name) => [name, { rows: [] }])) as unknown as State['tables'],
  receipts: new Map(),
  secrets: new Map(),
  tokens: [],
  told: [],
  numbers: 0,
  policyChanges: 0,
});

const receiptName = (key: ReceiptKey): string => Object.values(key).join(' ');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export function createMemoryControlStore(): MemoryControlStore {
  let state = emptyState();
  let ticks = 0n;
  // Grows by a microsecond with every row, so that order is order of writing.
  const now = (): string => microsecondText(1_800_000_000_000_000n + (ticks += 1n));
  /** One at a time, as row locks would have it. */
  let line: Promise<unknown> = Promise.resolve();
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = line.then(work);
    line = turn.catch(() => undefined);
    return turn;
  };
  const inTransaction = <T>(zoneId: string, work: (tx: ControlTransaction) => Promise<T>): Promise<T> =>
    alone(async () => {
      const before = structuredClone(state);
      try {
        return await work(transaction(state, zoneId, now));
      } catch (error) {
        state = before;
        throw error;
      }
    });
  return {
    state: () => state,
    change: (zoneId, _facts, work) => inTransaction(zoneId, work),
    read: (zoneId, work) =>
      inTransaction(zoneId, async (tx) => {
        await tx.requireZone();
        return work(tx);
      }),
    pageZones: (query) => inTransaction('', (tx) => tx.zones.page(query)),
    findAdmin: async (digest) => {
      const token = state.tokens.find((each) => each.digest === hex(digest) && !each.revoked);
      if (token === undefined) return undefined;
      const { id: tokenId, name, zoneId, capability, sub } = token;
      return { tokenId, name, zoneId, capability, sub };
    },
    pageAdminTokens: async () => ({ items: state.tokens.filter((token) => !token.revoked), nextCursor: undefined }),
    findAdminToken: async (id) => state.tokens.find((token) => token.id === id && !token.revoked),
    peekReceipt: async (_zoneId, key) => state.receipts.get(receiptName(key)),
    bootstrapToken: async ({ id, digest }) => {
      const known = state.tokens.find((token) => token.digest === hex(digest));
      for (const token of state.tokens) {
        const givesWay = token.createdBy === 'env-bootstrap' && token !== known && !token.revoked;
        if (givesWay) Object.assign(token, { revoked: true, replaced: true });
      }
      if (known?.replaced === true) {
        Object.assign(known, { revoked: false, replaced: false });
        return 'added';
      }
      if (known !== undefined) return known.revoked ? 'revoked' : 'known';
      const row = { id, name: 'bootstrap', scope: 'global', capability: 'all', createdBy: 'env-bootstrap' } as const;
      state.tokens.push({ ...row, createdAt: now(), digest: hex(digest), revoked: false });
      return 'added';
    },
  };
}

type Tell = (kind: string, what: object) => void;
type Version = PolicySetVersion & { activatedAt?: string };

function transaction(state: State, zoneId: string, now: () => string): ControlTransaction {
  const tell: Tell = (kind, what) => void state.told.push({ kind, what: what as JsonObject });
  return {
    ...collections(state, now),
    ...policyParts(state, now),
    ...zoneParts(state, zoneId),
    archiveGrantsOf: async (subjectIssuerId) => {
      const live = state.tables.grants.rows.filter((row) => row['archivedAt'] === undefined);
      const ended = live.filter((row) => row['subjectIssuerId'] === subjectIssuerId);
      for (const row of ended) row['archivedAt'] = now();
      return [...new Set(ended.map((row) => String(row['subject'])))];
    },
    ...tokenParts(state, now),
    zoneKeys: createMemoryZoneKeys(state, { now, tell }),
    approvals: createMemoryApprovals(state.tables.approvals, { now, tell }),
    receipts: {
      claim: async (key) => state.receipts.get(receiptName(key)),
      keep: async (key, receipt) => void state.receipts.set(receiptName(key), receipt),
    },
    record: async (_admin, mutation: Mutation) => tell('mutation', mutation),
    recordActivation: async (_admin, activation) => tell('activation', activation),
    invalidatePolicy: async (activation) => {
      state.policyChanges += 1;
      tell('policy', activation);
      return policyNumber(state);
    },
    invalidate: async (kind, id, version) => tell('invalidate', { kind, id, version }),
    installZoneKey: async (key: ZoneKeyRow) => void createMemoryZoneKeys(state, { now, tell }).install(key),
    revoke: async (anchors, reason) => {
      state.numbers += anchors.length;
      tell('revoke', { anchors, reason });
      return state.numbers;
    },
  };
}

function collections({ tables }: State, now: () => string) {
  const table = <T extends { id: string; createdAt: string }, H extends object = object>(
    name: TableName,
    unique: readonly string[],
    versioned = true,
  ) => createMemoryCollection<T, H>(tables[name], { unique, hidden: hiddenFields, versioned, now });
  return {
    zones: table<Zone, { readonly secretCheckKey?: Uint8Array }>('zones', ['slug']),
    applications: table<Application, { readonly secretHash?: string | undefined }>('applications', []),
    providers: table<Provider>('providers', ['identifier']),
    connections: table<Connection>('connections', [], false),
    resources: table<Resource>('resources', ['identifier', 'slug']),
    subjectIssuers: table<SubjectIssuer>('subjectIssuers', ['issuer']),
    grants: table<Grant>('grants', []),
    policies: table<Policy>('policies', ['name'], false),
    policyVersions: table<PolicyVersion, { readonly content: string }>('policyVersions', [], false),
    policySets: table<PolicySet>('policySets', ['name']),
    policySetVersions: table<PolicySetVersion>('policySetVersions', [], false),
  };
}

function zoneParts({ tables, secrets }: State, zoneId: string) {
  return {
    requireZone: async () => {
      const isLive = tables.zones.rows.some((row) => row.id === zoneId && row['archivedAt'] === undefined);
      if (!isLive) throw fail('not_found');
    },
    secretCheckKey: async () => tables.zones.rows.find((row) => row.id === zoneId)?.['secretCheckKey'] as Uint8Array,
    putSecrets: async (providerId: string, sealed: readonly SealedSecret[]) => {
      const kept = secrets.get(providerId) ?? [];
      const others = kept.filter(({ name }) => !sealed.some((each) => each.name === name));
      secrets.set(providerId, [...others, ...sealed]);
      const provider = tables.providers.rows.find((row) => row.id === providerId);
      if (provider !== undefined) provider['secretNames'] = [...others, ...sealed].map(({ name }) => name);
    },
    revokeConnection: async (id: string) => {
      const row = tables.connections.rows.find((each) => each.id === id && each['state'] !== 'revoked');
      if (row !== undefined) row['state'] = 'revoked';
      return row?.['providerId'] as string | undefined;
    },
    hasResourceOf: async (providerId: string) =>
      tables.resources.rows.some((row) => row['providerId'] === providerId && row['archivedAt'] === undefined),
  };
}

function policyParts(state: State, now: () => string) {
  const { tables } = state;
  const versions = () => tables.policySetVersions.rows as unknown as Version[];
  return {
    findPolicyVersionByContent: async (policyId: string, sha: string) =>
      (tables.policyVersions.rows as unknown as PolicyVersion[]).find(
        (row) => row.policyId === policyId && row.contentSha256 === sha,
      ),
    nextVersion: async (of: { policyId: string } | { policySetId: string }) => {
      const [rows, field, id] =
        'policyId' in of
          ? [tables.policyVersions.rows, 'policyId', of.policyId]
          : [tables.policySetVersions.rows, 'policySetId', of.policySetId];
      return rows.filter((row) => row[field] === id).length + 1;
    },
    policySources: async (ids: readonly string[]) => ids.flatMap((id) => sourceOf(tables, id)),
    enforcement: createMemoryEnforcement(state, versions, (ids) => ids.flatMap((id) => sourceOf(tables, id))),
    lockActivation: async () => undefined,
    activeVersion: async () => versions().find((row) => row.active),
    activate: async (versionId: string | undefined) => {
      for (const row of versions()) Object.assign(row, { active: row.id === versionId });
      const row = versions().find((each) => each.id === versionId);
      if (row !== undefined) Object.assign(row, { activatedAt: now(), shadow: false });
    },
    previouslyActive: async (policySetId: string) =>
      versions()
        .filter((row) => row.policySetId === policySetId && !row.active && row.activatedAt !== undefined)
        .toSorted((left, right) => String(right.activatedAt).localeCompare(String(left.activatedAt)))[0],
  };
}

function tokenParts({ tokens }: State, now: () => string) {
  return {
    insertAdminToken: async (token: Omit<AdminToken, 'createdAt'>, digest: Uint8Array) => {
      const row = { ...token, createdAt: now() };
      tokens.push({ ...row, digest: hex(digest), revoked: false });
      return row;
    },
    revokeAdminToken: async (tokenId: string) => {
      const token = tokens.find((each) => each.id === tokenId && !each.revoked);
      if (token !== undefined) token.revoked = true;
      return token !== undefined;
    },
  };
}

function sourceOf(tables: State['tables'], id: string): PolicySource[] {
  const version = tables.policyVersions.rows.find((row) => row.id === id) as unknown as
    (PolicyVersion & { content: string }) | undefined;
  const policy = tables.policies.rows.find((row) => row.id === version?.policyId);
  if (version === undefined || policy === undefined) return [];
  const { content, contentSha256 } = version;
  const archived = policy['archivedAt'] !== undefined;
  return [{ policyVersionId: id, name: String(policy['name']), content, contentSha256, archived }];
}
