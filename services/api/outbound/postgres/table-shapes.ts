// The tables of the control plane, column by column.
import type { AdminToken } from '../../domain/admin.ts';
import type { Application } from '../../domain/application.ts';
import type { Connection } from '../../domain/connection.ts';
import type { Grant } from '../../domain/grant.ts';
import type { Policy, PolicySet, PolicySetVersion, PolicyVersion } from '../../domain/policy.ts';
import type { Provider } from '../../domain/provider-kind.ts';
import type { Resource } from '../../domain/resource.ts';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { Zone } from '../../domain/zone.ts';
import type { TableShape } from './table-shape.ts';

const versioned = { version: 'whole', createdAt: 'time', updatedAt: 'time' } as const;

export const zoneShape: TableShape<Zone> = {
  table: 'api.zones',
  columns: {
    id: 'plain',
    name: 'plain',
    slug: 'plain',
    orgId: 'plain',
    dcrEnabled: 'plain',
    pkceRequired: 'plain',
    loginFlow: 'plain',
    calendar: 'json',
    recordInputs: 'plain',
    ...versioned,
  },
  hidden: { secretCheckKey: 'plain' },
  archives: true,
  versioned: true,
  slugTarget: '(slug)',
};

export const applicationShape: TableShape<Application> = {
  table: 'api.applications',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    name: 'plain',
    registrationMethod: 'plain',
    credentialType: 'plain',
    traits: 'json',
    labels: 'json',
    consent: 'plain',
    senderConstraint: 'plain',
    publicKeys: 'json',
    mayAct: 'json',
    serves: 'plain',
    expiresAt: 'time',
    ...versioned,
  },
  hidden: { secretHash: 'plain' },
  archives: true,
  versioned: true,
};

export const providerShape: TableShape<Provider> = {
  table: 'api.providers',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    identifier: 'plain',
    name: 'plain',
    kind: 'plain',
    config: 'json',
    secretNames: 'plain',
    ...versioned,
  },
  computed: {
    secretNames: `SELECT coalesce(array_agg(s.name ORDER BY s.name), '{}') FROM api.provider_secrets AS s
                  WHERE s.zone_id = t.zone_id AND s.provider_id = t.id`,
  },
  archives: true,
  versioned: true,
};

/** The STS's view; nothing is written here. */
export const connectionShape: TableShape<Connection> = {
  table: 'sts_pub.connections',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    providerId: 'plain',
    subject: 'plain',
    state: 'plain',
    scopes: 'plain',
    expiresAt: 'time',
    lastError: 'plain',
    failedAt: 'time',
    createdAt: 'time',
    refreshedAt: 'time',
    revokedAt: 'time',
  },
  archives: false,
  versioned: false,
};

export const resourceShape: TableShape<Resource> = {
  table: 'api.resources',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    identifier: 'plain',
    slug: 'plain',
    name: 'plain',
    kind: 'plain',
    upstreamUrl: 'plain',
    scopes: 'plain',
    operations: 'json',
    operationEnforcement: 'plain',
    providerId: 'plain',
    rateLimitPerMin: 'plain',
    allowOddPaths: 'plain',
    ...versioned,
  },
  archives: true,
  versioned: true,
  slugTarget: '(zone_id, slug) WHERE archived_at IS NULL',
};

export const subjectIssuerShape: TableShape<SubjectIssuer> = {
  table: 'api.subject_issuers',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    name: 'plain',
    issuer: 'plain',
    jwksUrl: 'plain',
    audience: 'plain',
    algorithms: 'plain',
    claims: 'json',
    mayAct: 'plain',
    ...versioned,
  },
  archives: true,
  versioned: true,
};

export const grantShape: TableShape<Grant> = {
  table: 'api.grants',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    applicationId: 'plain',
    subjectIssuerId: 'plain',
    subject: 'plain',
    resourceId: 'plain',
    scopes: 'plain',
    expiresAt: 'time',
    ...versioned,
  },
  archives: true,
  versioned: true,
};

export const policyShape: TableShape<Policy> = {
  table: 'api.policies',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    name: 'plain',
    description: 'plain',
    latestVersion: 'plain',
    createdAt: 'time',
  },
  computed: {
    latestVersion: 'SELECT max(v.version) FROM api.policy_versions AS v WHERE v.policy_id = t.id',
  },
  archives: true,
  versioned: false,
};

export const policyVersionShape: TableShape<PolicyVersion> = {
  table: 'api.policy_versions',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    policyId: 'plain',
    version: 'plain',
    contentSha256: 'plain',
    schemaVersion: 'plain',
    createdAt: 'time',
  },
  hidden: { content: 'plain' },
  archives: false,
  versioned: false,
};

export const policySetShape: TableShape<PolicySet> = {
  table: 'api.policy_sets',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    name: 'plain',
    description: 'plain',
    activeVersionId: 'plain',
    shadowVersionId: 'plain',
    ...versioned,
  },
  computed: {
    activeVersionId: 'SELECT v.id FROM api.policy_set_versions AS v WHERE v.policy_set_id = t.id AND v.active',
    shadowVersionId: 'SELECT v.id FROM api.policy_set_versions AS v WHERE v.policy_set_id = t.id AND v.shadow',
  },
  archives: true,
  versioned: true,
};

export const policySetVersionShape: TableShape<PolicySetVersion> = {
  table: 'api.policy_set_versions',
  columns: {
    id: 'plain',
    zoneId: 'plain',
    policySetId: 'plain',
    version: 'plain',
    manifest: 'json',
    params: 'json',
    digest: 'plain',
    active: 'plain',
    shadow: 'plain',
    activatedAt: 'time',
    createdAt: 'time',
  },
  archives: false,
  versioned: false,
};

export const adminTokenShape: TableShape<AdminToken> = {
  table: 'api.admin_tokens',
  columns: {
    id: 'plain',
    name: 'plain',
    scope: 'plain',
    zoneId: 'plain',
    capability: 'plain',
    sub: 'plain',
    createdBy: 'plain',
    createdAt: 'time',
  },
  hidden: { digest: 'plain' },
  archives: false,
  versioned: false,
};
