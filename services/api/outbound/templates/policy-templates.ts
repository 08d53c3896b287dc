// The starter policies, read from the Rego files beside this one, whose tests run with `opa test` (test/integration/api).
import { readFileSync } from 'node:fs';
import type { PolicyTemplate } from '../../domain/policy-template.ts';

const calendar = 'resource://calendar';
const reading = ['calendar:read'];

const described: readonly Omit<PolicyTemplate, 'content'>[] = [
  {
    id: 'role-based',
    name: 'Roles of applications',
    description: 'Allows what the roles among the traits of the application cover, resource by resource.',
    role: 'grants',
    parameters: [
      { name: 'roles', description: 'Scopes by role and resource; a trait "role:reader" is the role reader.' },
    ],
    exampleParams: { roles: { reader: { [calendar]: reading } } },
  },
  {
    id: 'attribute-based',
    name: 'Attributes of applications and agents',
    description: 'Allows by rules over labels of the application and kind and depth of the agent session.',
    role: 'grants',
    parameters: [
      {
        name: 'rules',
        description: 'Each with labels (all must match), resources, scopes, and optionally agent_kinds and max_depth.',
      },
    ],
    exampleParams: {
      rules: [{ labels: { team: 'payments' }, resources: [calendar], scopes: reading, agent_kinds: ['instance'] }],
    },
  },
  {
    id: 'per-resource-scopes',
    name: 'Scopes by application and resource',
    description: 'Allows the scopes that are listed for this application on this resource.',
    role: 'grants',
    parameters: [{ name: 'allow', description: 'Scopes by application id and resource.' }],
    exampleParams: { allow: { '<application id>': { [calendar]: reading } } },
  },
  {
    id: 'delegation-bounded',
    name: 'Bounded delegation',
    description: 'Allows what a delegation carries, within a number of hops and a list of scopes.',
    role: 'grants',
    parameters: [
      { name: 'max_hops', description: 'Edges from the source at most.' },
      { name: 'scopes', description: 'Scopes that may be delegated at all.' },
    ],
    exampleParams: { max_hops: 2, scopes: reading },
  },
  {
    id: 'per-tool',
    name: 'Tools and operations',
    description: 'Allows listed MCP tools and HTTP operations of listed resources, and mandates for their scopes.',
    role: 'grants',
    parameters: [
      {
        name: 'resources',
        description:
          'By resource: scopes, tools by name, and operations by method and path ("*" one segment, "**" the rest).',
      },
    ],
    exampleParams: {
      resources: {
        [calendar]: { scopes: reading, tools: ['list_events'], operations: [{ method: 'GET', path: '/**' }] },
      },
    },
  },
  {
    id: 'step-up-by-scope',
    name: 'Approval by scope',
    description: 'Allows listed scopes by application and resource; those listed under step_up wait for an approval.',
    role: 'grants',
    parameters: [
      { name: 'allow', description: 'Scopes by application id and resource.' },
      { name: 'step_up', description: 'By scope, what is asked for: a type, or {type, approvers, ttl_seconds}.' },
    ],
    exampleParams: {
      allow: { '<application id>': { [calendar]: ['calendar:read', 'calendar:write'] } },
      step_up: { 'calendar:write': { type: 'human_approval', ttl_seconds: 300 } },
    },
  },
  {
    id: 'business-hours',
    name: 'Business hours',
    description: "Denies while the zone's calendar is closed; a zone without a calendar is never open.",
    role: 'guards',
    parameters: [{ name: 'always', description: 'Scopes left to the other policies at any hour.' }],
    exampleParams: { always: reading },
  },
  {
    id: 'read-only-by-default',
    name: 'Read-only by default',
    description: 'Denies every scope that does not read, to all but the listed applications.',
    role: 'guards',
    parameters: [
      { name: 'reading', description: 'Endings of scopes that read; ":read" when absent.' },
      { name: 'writers', description: 'Ids of applications that may do more.' },
    ],
    exampleParams: { reading: [':read', ':list'], writers: ['<application id>'] },
  },
];

/** All of them, in the order they are offered. */
export function loadPolicyTemplates(): readonly PolicyTemplate[] {
  return described.map((template) => ({
    ...template,
    content: readFileSync(new URL(`./${template.id}.rego`, import.meta.url), 'utf8'),
  }));
}
