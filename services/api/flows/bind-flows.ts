// All use cases of the control plane, bound to their ports: what the edge is given.
import type { Patch } from '../ports/collection.ts';
import type { ControlReads } from '../ports/control-store.ts';
import type { ApiDeps } from '../ports/deps.ts';
import type { Application } from '../domain/application.ts';
import type { Approval } from '../domain/approval.ts';
import type { Connection } from '../domain/connection.ts';
import type { Grant } from '../domain/grant.ts';
import type { IfMatch } from '../domain/entity-tag.ts';
import type { PolicySet } from '../domain/policy.ts';
import type { Resource } from '../domain/resource.ts';
import type { SubjectIssuer } from '../domain/subject-issuer.ts';
import type { Zone } from '../domain/zone.ts';
import type { AdminCall, PageQuery, ZoneCall } from './admin-call.ts';
import { type CreateAdminToken, createAdminToken } from './admin-tokens/create.ts';
import { revokeAdminToken } from './admin-tokens/revoke.ts';
import { endAgentSession } from './agent-sessions/end.ts';
import { type DecideApproval, decideApproval } from './approvals/decide.ts';
import { archiveApplication } from './applications/archive.ts';
import { type CreateApplication, createApplication } from './applications/create.ts';
import { rotateSecret } from './applications/rotate-secret.ts';
import { updateApplication } from './applications/update.ts';
import {
  type BeginConnection,
  type CompleteConnection,
  beginConnection,
  completeConnection,
} from './connections/connect.ts';
import { revokeConnection } from './connections/revoke.ts';
import { readRequest, searchLedger, verifyLedger } from './audit/read.ts';
import { archiveGrant } from './grants/archive.ts';
import { type CreateGrant, createGrant } from './grants/create.ts';
import { updateGrant } from './grants/update.ts';
import { addPolicyVersion } from './policies/add-version.ts';
import { archivePolicy } from './policies/archive.ts';
import { type CreatePolicy, createPolicy } from './policies/create.ts';
import { listPolicyVersions, listSetVersions, readPolicyVersion, readSetVersion } from './policies/read-version.ts';
import { activatePolicySet, rollBackPolicySet } from './policy-sets/activate.ts';
import { activationStatus } from './policy-sets/activation-status.ts';
import { type AddSetVersion, addSetVersion } from './policy-sets/add-version.ts';
import { type CreatePolicySet, createPolicySet } from './policy-sets/create.ts';
import { archivePolicySet, deactivatePolicySet } from './policy-sets/deactivate.ts';
import { shadowDifferences } from './policy-sets/shadow-differences.ts';
import { watchPolicySet } from './policy-sets/shadow.ts';
import { updatePolicySet } from './policy-sets/update.ts';
import { bindPolicyTrials } from './policy-trials/bind.ts';
import { archiveProvider } from './providers/archive.ts';
import { type CreateProvider, createProvider } from './providers/create.ts';
import { testProvider } from './providers/test.ts';
import { type UpdateProvider, updateProvider } from './providers/update.ts';
import { readOne, readPage } from './read.ts';
import { archiveResource } from './resources/archive.ts';
import { type CreateResource, createResource } from './resources/create.ts';
import { updateResource } from './resources/update.ts';
import { type Revoke, revoke } from './revocations/revoke.ts';
import { type Reseal, resealSecrets } from './secrets/reseal.ts';
import { type RotateZoneKey, rotateZoneKey } from './zone-keys/rotate.ts';
import { archiveSubjectIssuer } from './subject-issuers/archive.ts';
import { type CreateSubjectIssuer, createSubjectIssuer } from './subject-issuers/create.ts';
import { updateSubjectIssuer } from './subject-issuers/update.ts';
import { introspectToken } from './tokens/introspect.ts';
import { archiveZone } from './zones/archive.ts';
import { type CreateZone, createZone } from './zones/create.ts';
import { updateZone } from './zones/update.ts';

interface Update<T> {
  readonly id: string;
  readonly patch: Patch<T>;
  readonly ifMatch: IfMatch;
}

interface Archive {
  readonly id: string;
  readonly ifMatch: IfMatch | undefined;
}

export type ApiFlows = ReturnType<typeof bindFlows>;

export function bindFlows(deps: ApiDeps) {
  return {
    adminTokens: {
      create: (call: AdminCall, input: CreateAdminToken) => createAdminToken(deps, call, input),
      page: (query: PageQuery) => deps.store.pageAdminTokens(query),
      revoke: (call: AdminCall, id: string) => revokeAdminToken(deps, call, id),
    },
    zones: bindZones(deps),
    applications: bindApplications(deps),
    providers: bindProviders(deps),
    connections: bindConnections(deps),
    resources: bindResources(deps),
    subjectIssuers: bindSubjectIssuers(deps),
    grants: bindGrants(deps),
    policies: bindPolicies(deps),
    policySets: bindPolicySets(deps),
    approvals: bindApprovals(deps),
    policyTrials: bindPolicyTrials(deps),
    policyTemplates: deps.policyTemplates,
    secrets: { reseal: (call: AdminCall, reseal: Reseal) => resealSecrets(deps, call, reseal) },
    tokens: { introspect: (call: ZoneCall, token: string) => introspectToken(deps, call, token) },
    zoneKeys: {
      page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows: (tx) => tx.zoneKeys }),
      rotate: (call: ZoneCall, input: RotateZoneKey) => rotateZoneKey(deps, call, input),
    },
    revocations: { create: (call: ZoneCall, input: Revoke) => revoke(deps, call, input) },
    agentSessions: {
      page: (call: ZoneCall, query: PageQuery & { states: readonly string[] }) =>
        inZone(deps, call, () => deps.sessions.list(call.zoneId, query, call.facts)),
      get: (call: ZoneCall, id: string) => inZone(deps, call, () => deps.sessions.get(call.zoneId, id, call.facts)),
      end: (call: ZoneCall, end: Parameters<typeof endAgentSession>[2]) => endAgentSession(deps, call, end),
    },
    audit: {
      search: (call: ZoneCall, search: Parameters<typeof searchLedger>[2]) => searchLedger(deps, call, search),
      byRequest: (call: ZoneCall, requestId: string) => readRequest(deps, call, requestId),
      verify: (call: ZoneCall, range: Parameters<typeof verifyLedger>[2]) => verifyLedger(deps, call, range),
    },
  };
}

/** Asks another service only about zones that live here. */
async function inZone<T>(deps: ApiDeps, { zoneId }: ZoneCall, ask: () => Promise<T>): Promise<T> {
  await deps.store.read(zoneId, async () => undefined);
  return ask();
}

function bindZones(deps: ApiDeps) {
  return {
    create: (call: AdminCall, input: CreateZone) => createZone(deps, call, input),
    page: (query: PageQuery) => deps.store.pageZones(query),
    get: (call: ZoneCall) => readOne(deps, call, { id: call.zoneId, name: 'zone', rows: (tx) => tx.zones }),
    update: (call: ZoneCall, update: { patch: Patch<Zone>; ifMatch: IfMatch }) => updateZone(deps, call, update),
    archive: (call: ZoneCall, archive: Parameters<typeof archiveZone>[2]) => archiveZone(deps, call, archive),
  };
}

function bindApplications(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.applications;
  return {
    create: (call: ZoneCall, input: CreateApplication) => createApplication(deps, call, input),
    page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'application', rows }),
    update: (call: ZoneCall, update: Update<Application>) => updateApplication(deps, call, update),
    rotateSecret: (call: ZoneCall, rotate: Archive) => rotateSecret(deps, call, rotate),
    archive: (call: ZoneCall, archive: Parameters<typeof archiveApplication>[2]) =>
      archiveApplication(deps, call, archive),
  };
}

function bindProviders(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.providers;
  return {
    create: (call: ZoneCall, input: CreateProvider) => createProvider(deps, call, input),
    page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'provider', rows }),
    update: (call: ZoneCall, update: UpdateProvider) => updateProvider(deps, call, update),
    test: (call: ZoneCall, test: { id: string; subject: string }) => testProvider(deps, call, test),
    archive: (call: ZoneCall, archive: Archive) => archiveProvider(deps, call, archive),
  };
}

function bindConnections(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.connections;
  return {
    begin: (call: ZoneCall, begin: BeginConnection) => beginConnection(deps, call, begin),
    complete: (call: ZoneCall, complete: CompleteConnection) => completeConnection(deps, call, complete),
    page: (call: ZoneCall, { query, filter }: { query: PageQuery; filter: Partial<Connection> }) =>
      deps.store.read(call.zoneId, (tx) => tx.connections.page(query, filter)),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'connection', rows }),
    revoke: (call: ZoneCall, id: string) => revokeConnection(deps, call, id),
  };
}

function bindResources(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.resources;
  return {
    create: (call: ZoneCall, input: CreateResource) => createResource(deps, call, input),
    page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'resource', rows }),
    update: (call: ZoneCall, update: Update<Resource>) => updateResource(deps, call, update),
    archive: (call: ZoneCall, archive: Archive) => archiveResource(deps, call, archive),
  };
}

function bindSubjectIssuers(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.subjectIssuers;
  return {
    create: (call: ZoneCall, input: CreateSubjectIssuer) => createSubjectIssuer(deps, call, input),
    page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'subject issuer', rows }),
    update: (call: ZoneCall, update: Update<SubjectIssuer>) => updateSubjectIssuer(deps, call, update),
    archive: (call: ZoneCall, archive: Parameters<typeof archiveSubjectIssuer>[2]) =>
      archiveSubjectIssuer(deps, call, archive),
  };
}

function bindGrants(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.grants;
  return {
    create: (call: ZoneCall, input: CreateGrant) => createGrant(deps, call, input),
    page: (call: ZoneCall, query: PageQuery, filter: Partial<Grant>) => readPage(deps, call, { query, rows, filter }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'grant', rows }),
    update: (call: ZoneCall, update: Update<Grant>) => updateGrant(deps, call, update),
    archive: (call: ZoneCall, archive: Parameters<typeof archiveGrant>[2]) => archiveGrant(deps, call, archive),
  };
}

function bindApprovals(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.approvals;
  return {
    page: (call: ZoneCall, query: PageQuery, filter: Partial<Approval>) =>
      readPage(deps, call, { query, rows, filter }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'approval', rows }),
    decide: (call: ZoneCall, word: DecideApproval) => decideApproval(deps, call, word),
  };
}

function bindPolicies(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.policies;
  return {
    create: (call: ZoneCall, input: CreatePolicy) => createPolicy(deps, call, input),
    page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'policy', rows }),
    archive: (call: ZoneCall, id: string) => archivePolicy(deps, call, id),
    addVersion: (call: ZoneCall, input: { policyId: string; content: string }) => addPolicyVersion(deps, call, input),
    versions: (call: ZoneCall, of: Parameters<typeof listPolicyVersions>[2]) => listPolicyVersions(deps, call, of),
    version: (call: ZoneCall, of: Parameters<typeof readPolicyVersion>[2]) => readPolicyVersion(deps, call, of),
  };
}

function bindPolicySets(deps: ApiDeps) {
  const rows = (tx: ControlReads) => tx.policySets;
  return {
    create: (call: ZoneCall, input: CreatePolicySet) => createPolicySet(deps, call, input),
    page: (call: ZoneCall, query: PageQuery) => readPage(deps, call, { query, rows }),
    get: (call: ZoneCall, id: string) => readOne(deps, call, { id, name: 'policy set', rows }),
    update: (call: ZoneCall, update: Update<PolicySet>) => updatePolicySet(deps, call, update),
    archive: (call: ZoneCall, archive: Archive) => archivePolicySet(deps, call, archive),
    addVersion: (call: ZoneCall, input: AddSetVersion) => addSetVersion(deps, call, input),
    versions: (call: ZoneCall, of: Parameters<typeof listSetVersions>[2]) => listSetVersions(deps, call, of),
    version: (call: ZoneCall, of: Parameters<typeof readSetVersion>[2]) => readSetVersion(deps, call, of),
    activate: (call: ZoneCall, wish: Omit<Parameters<typeof activatePolicySet>[2], 'verb'>) =>
      activatePolicySet(deps, call, { ...wish, verb: 'activate' }),
    rollBack: (call: ZoneCall, wish: Parameters<typeof rollBackPolicySet>[2]) => rollBackPolicySet(deps, call, wish),
    deactivate: (call: ZoneCall, wish: Parameters<typeof deactivatePolicySet>[2]) =>
      deactivatePolicySet(deps, call, wish),
    watch: (call: ZoneCall, wish: Parameters<typeof watchPolicySet>[2]) => watchPolicySet(deps, call, wish),
    differences: (call: ZoneCall, search: Parameters<typeof shadowDifferences>[2]) =>
      shadowDifferences(deps, call, search),
    status: (call: ZoneCall, id: string) => activationStatus(deps, call, id),
  };
}
