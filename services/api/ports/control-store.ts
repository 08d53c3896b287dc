// What the control plane keeps, as the flows need it: one transaction per change, bound to one zone, with its evidence.
import type { JsonObject } from '#mesh/failure';
import type { ZoneId } from '#mesh/ids';
import type { StreamNumber } from '#mesh/revocation';
import type { Admin, AdminToken } from '../domain/admin.ts';
import type { Application } from '../domain/application.ts';
import type { Connection } from '../domain/connection.ts';
import type { Grant } from '../domain/grant.ts';
import type { Policy, PolicySet, PolicySetVersion, PolicySource, PolicyVersion } from '../domain/policy.ts';
import type { Provider } from '../domain/provider-kind.ts';
import type { Resource } from '../domain/resource.ts';
import type { AnchorChoice } from '../domain/revocation.ts';
import type { SubjectIssuer } from '../domain/subject-issuer.ts';
import type { Zone } from '../domain/zone.ts';
import type { Approvals } from './approvals.ts';
import type { Collection, Page, PageQuery } from './collection.ts';
import type { EnforcementReads, PolicyEnforcement } from './policy-enforcement.ts';
import type { ZoneKeyRow, ZoneKeys } from './zone-keys.ts';

/** The request behind a change, for log, ledger and trace. */
export interface CallFacts {
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly traceparent: string | undefined;
}

/** What an admin changed. Names of fields, never their values. */
export interface Mutation {
  /** `<entity>.<verb>`: application.create. */
  readonly action: string;
  readonly entityType: string;
  readonly entityId: string;
  readonly fields: readonly string[];
  /** Further facts that are no secret. */
  readonly facts?: JsonObject | undefined;
}

export interface ReceiptKey {
  readonly actorId: string;
  /** '' for routes without zone. */
  readonly zoneId: string;
  readonly route: string;
  readonly keyDigest: string;
}

/** What a key stands for once it was used. */
export interface Receipt {
  readonly bodyDigest: string;
  readonly status: number;
  /** The answer without anything secret. */
  readonly response: JsonObject;
}

export interface Receipts {
  /** The receipt of an earlier call within 24 hours; waits for a call with the same key that is still under way. */
  claim(key: ReceiptKey): Promise<Receipt | undefined>;
  keep(key: ReceiptKey, receipt: Receipt): Promise<void>;
}

export interface SealedSecret {
  readonly name: string;
  readonly rowId: string;
  readonly envelope: Uint8Array;
}

/** Cached by STS and Gateway, who forget it when told. Grants are kept by application and user (flows/grants/create.ts). */
export type CachedKind = 'zone' | 'application' | 'resource' | 'provider' | 'subject_issuer' | 'grant';

export interface Activation {
  readonly policySetId: string;
  /** Undefined when the zone enforces nothing any more. */
  readonly versionId: string | undefined;
  readonly digest: string | undefined;
  /** How the ledger tells it from others. */
  readonly verb?: 'activate' | 'rollback' | 'deactivate' | undefined;
  readonly previousVersionId?: string | undefined;
  readonly shadowVersionId?: string | undefined;
}

/**
 * Reads and writes of one transaction in one zone. Order of the last statements: policy invalidation, resource
 * invalidation, zone key, revocation (heads are locked until commit, in the order of the migrations).
 */
export interface ControlTransaction {
  readonly zones: Collection<Zone, { readonly secretCheckKey?: Uint8Array }>;
  readonly applications: Collection<Application, { readonly secretHash?: string | undefined }>;
  readonly providers: Collection<Provider>;
  /** The STS's; read through its view, ended through its function. */
  readonly connections: Pick<Collection<Connection>, 'find' | 'page'>;
  readonly resources: Collection<Resource>;
  readonly subjectIssuers: Collection<SubjectIssuer>;
  readonly grants: Collection<Grant>;
  readonly policies: Collection<Policy>;
  readonly policyVersions: Collection<PolicyVersion, { readonly content: string }>;
  readonly policySets: Collection<PolicySet>;
  readonly policySetVersions: Collection<PolicySetVersion>;
  readonly zoneKeys: ZoneKeys;
  readonly approvals: Approvals;
  readonly enforcement: PolicyEnforcement;
  readonly receipts: Receipts;
  /** `not_found` unless the zone lives; it stays so until the transaction ends. */
  requireZone(): Promise<void>;
  secretCheckKey(): Promise<Uint8Array>;
  putSecrets(providerId: string, secrets: readonly SealedSecret[]): Promise<void>;
  hasResourceOf(providerId: string): Promise<boolean>;
  /** Its provider's id; undefined when there is no live connection of that id. */
  revokeConnection(id: string): Promise<string | undefined>;
  /** Archives every live grant of the issuer's users and says whose they were, each user once. */
  archiveGrantsOf(subjectIssuerId: string): Promise<readonly string[]>;
  findPolicyVersionByContent(policyId: string, contentSha256: string): Promise<PolicyVersion | undefined>;
  /** The next number of a policy or set; its row must be locked. */
  nextVersion(of: { policyId: string } | { policySetId: string }): Promise<number>;
  /** In the order asked; ids that do not exist in this zone are left out. */
  policySources(versionIds: readonly string[]): Promise<readonly PolicySource[]>;
  /** One change of what the zone enforces at a time. */
  lockActivation(): Promise<void>;
  activeVersion(): Promise<PolicySetVersion | undefined>;
  /** Makes it the one active version, or none; it is not the shadow any more. */
  activate(versionId: string | undefined): Promise<void>;
  /** The version of a set that was active most recently beside the active one. */
  previouslyActive(policySetId: string): Promise<PolicySetVersion | undefined>;
  insertAdminToken(token: Omit<AdminToken, 'createdAt'>, digest: Uint8Array): Promise<AdminToken>;
  revokeAdminToken(tokenId: string): Promise<boolean>;
  /** The ledger's event of a change, committed with it. */
  record(admin: Pick<Admin, 'tokenId' | 'name' | 'zoneId'>, mutation: Mutation): Promise<void>;
  recordActivation(admin: Pick<Admin, 'tokenId' | 'name' | 'zoneId'>, activation: Activation): Promise<void>;
  /** The change's number, by which others wait for it. */
  invalidatePolicy(activation: Activation): Promise<StreamNumber>;
  invalidate(kind: CachedKind, id: string, version: number): Promise<void>;
  installZoneKey(key: ZoneKeyRow): Promise<void>;
  /** The number of the last anchor. Call it last. */
  revoke(anchors: readonly AnchorChoice[], reason: string): Promise<number>;
}

/** What reading needs; a transaction that writes nothing. */
export type ControlReads = Pick<
  ControlTransaction,
  | 'zones'
  | 'applications'
  | 'providers'
  | 'connections'
  | 'resources'
  | 'subjectIssuers'
  | 'grants'
  | 'policies'
  | 'policyVersions'
  | 'policySets'
  | 'policySetVersions'
  | 'zoneKeys'
  | 'approvals'
  | 'policySources'
  | 'activeVersion'
  | 'previouslyActive'
  | 'secretCheckKey'
> & { readonly enforcement: EnforcementReads };

/** A database that cannot be reached is `store_unavailable`; nothing of a change is visible unless all of it committed. */
export interface ControlStore {
  change<T>(zoneId: ZoneId, facts: CallFacts, work: (tx: ControlTransaction) => Promise<T>): Promise<T>;
  /** `not_found` unless the zone lives. */
  read<T>(zoneId: ZoneId, work: (tx: ControlReads) => Promise<T>): Promise<T>;
  /** Live zones of the installation. */
  pageZones(query: PageQuery): Promise<Page<Zone>>;
  /** The unrevoked token with this digest. */
  findAdmin(digest: Uint8Array): Promise<Admin | undefined>;
  /** Unrevoked tokens, newest first. */
  pageAdminTokens(query: PageQuery): Promise<Page<AdminToken>>;
  findAdminToken(id: string): Promise<AdminToken | undefined>;
  /** A receipt without waiting for anyone, to spare work that a replay does not need. */
  peekReceipt(zoneId: ZoneId, key: ReceiptKey): Promise<Receipt | undefined>;
  /**
   * Makes the environment's token the one bootstrap token: adds it, or brings it back when another had taken its place, and
   * ends those that were before. `revoked` when an administrator has ended this very token: it stays ended.
   */
  bootstrapToken(token: { id: string; digest: Uint8Array }, facts: CallFacts): Promise<'added' | 'known' | 'revoked'>;
}
