// All routes of the control plane.
import type { ApiFlows } from '../../flows/bind-flows.ts';
import { addAdminTokenRoutes } from './admin-tokens/routes.ts';
import { addAgentSessionRoutes } from './agent-sessions/routes.ts';
import { addApplicationRoutes } from './applications/routes.ts';
import { addApprovalRoutes } from './approvals/routes.ts';
import { addAuditRoutes } from './audit/routes.ts';
import { addConnectionRoutes } from './connections/routes.ts';
import { addGrantRoutes } from './grants/routes.ts';
import { addOpenApi } from './openapi.ts';
import { addPolicyRoutes } from './policies/routes.ts';
import { addActivationRoutes } from './policy-sets/activation-routes.ts';
import { addPolicySetRoutes } from './policy-sets/routes.ts';
import { addPolicyTemplateRoutes } from './policy-templates/routes.ts';
import { addPolicyTrialRoutes } from './policy-trials/routes.ts';
import { addProviderRoutes } from './providers/routes.ts';
import { addResourceRoutes } from './resources/routes.ts';
import { addRevocationRoutes } from './revocations/routes.ts';
import type { Router } from './route.ts';
import { addSubjectIssuerRoutes } from './subject-issuers/routes.ts';
import { addSecretRoutes } from './secrets/routes.ts';
import { addTokenRoutes } from './tokens/routes.ts';
import { addZoneKeyRoutes } from './zone-keys/routes.ts';
import { addZoneRoutes } from './zones/routes.ts';

/** The document's plugin comes first: it hears of the routes that are added after it. */
export async function addApiRoutes(
  router: Router,
  flows: ApiFlows,
  options: { readonly isDev: boolean },
): Promise<void> {
  await addOpenApi(router.app, { withPage: options.isDev });
  addAdminTokenRoutes(router, flows.adminTokens);
  addZoneRoutes(router, flows.zones);
  addZoneKeyRoutes(router, flows.zoneKeys);
  addSecretRoutes(router, flows.secrets);
  addApplicationRoutes(router, flows.applications);
  addProviderRoutes(router, flows.providers);
  addConnectionRoutes(router, flows.connections);
  addResourceRoutes(router, flows.resources);
  addSubjectIssuerRoutes(router, flows.subjectIssuers);
  addGrantRoutes(router, flows.grants);
  addPolicyRoutes(router, flows.policies);
  addPolicySetRoutes(router, flows.policySets);
  addActivationRoutes(router, flows.policySets);
  addPolicyTrialRoutes(router, flows.policyTrials);
  addPolicyTemplateRoutes(router, flows.policyTemplates);
  addApprovalRoutes(router, flows.approvals);
  addTokenRoutes(router, flows.tokens);
  addRevocationRoutes(router, flows.revocations);
  addAgentSessionRoutes(router, flows.agentSessions);
  addAuditRoutes(router, flows.audit);
}
