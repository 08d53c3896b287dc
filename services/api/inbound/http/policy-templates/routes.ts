// Starter policies over HTTP.
import { Type } from 'typebox';
import type { PolicyTemplate as Template } from '../../../domain/policy-template.ts';
import { type Router, addRoute, pageAnswer } from '../route.ts';
import * as form from '../schemas.ts';

const PolicyTemplate = Type.Object({
  id: Type.String(),
  name: Type.String(),
  description: Type.String(),
  role: Type.Enum(['grants', 'guards'], {
    description: 'grants allows what its data names; guards only denies, beside a policy that grants.',
  }),
  content: Type.String({ description: 'Rego, ready to be stored as a policy.' }),
  parameters: Type.Array(Type.Object({ name: Type.String(), description: Type.String() }), {
    description: 'What it reads of the data of a set version.',
  }),
  example_params: form.document('The form of that data.'),
});

export function addPolicyTemplateRoutes(router: Router, templates: readonly Template[]): void {
  addRoute(router, {
    ...{ method: 'GET', url: '/v1/policy-templates', tag: 'policies', access: 'read', reach: 'global' },
    summary: 'Policies to begin with; without data none allows anything',
    response: { 200: form.pageOf(PolicyTemplate) },
    handle: async () => pageAnswer({ items: templates }),
  });
}
