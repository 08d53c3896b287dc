// Starter policies over HTTP.
import { Type } from 'typebox';
import { policyTemplates } from '../../../domain/policy-templates.ts';
import { type Router, addRoute, pageAnswer } from '../route.ts';
import * as form from '../schemas.ts';

const PolicyTemplate = Type.Object({
  id: Type.String(),
  name: Type.String(),
  description: Type.String(),
  content: Type.String({ description: 'Rego, ready to be stored as a policy.' }),
  example_params: form.document('The form of the data it reads.'),
});

export function addPolicyTemplateRoutes(router: Router): void {
  addRoute(router, {
    ...{ method: 'GET', url: '/v1/policy-templates', tag: 'policies', access: 'read', reach: 'global' },
    summary: 'Policies to begin with; without data each allows nothing',
    response: { 200: form.pageOf(PolicyTemplate) },
    handle: async () => pageAnswer({ items: policyTemplates }),
  });
}
