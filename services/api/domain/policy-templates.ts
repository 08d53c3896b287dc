// Starter policies. Each allows what its data names and nothing else: with the data left empty it allows nothing.

export interface PolicyTemplate {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly content: string;
  /** The data a set version with this policy carries, as an example of its form. */
  readonly exampleParams: Readonly<Record<string, unknown>>;
}

const roleBased = `package caracal.authz

# Applications have roles as traits ("role:reader"); params.roles says what each role may do:
# {"roles": {"reader": {"resource://calendar": ["calendar:read"]}}}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["role-based"],
	"diagnostics": [{"reason": "no role of this application covers what was asked for"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["role-based"],
	"diagnostics": [],
} if {
	count(input.context.requested_scopes) > 0
	every scope in input.context.requested_scopes {
		scope in covered
	}
}

covered contains scope if {
	some trait in input.principal.traits
	startswith(trait, "role:")
	role := substring(trait, 5, -1)
	some scope in params.roles[role][input.resource.identifier]
}
`;

const perResourceScopes = `package caracal.authz

# params.allow says which application may do what where:
# {"allow": {"<application id>": {"resource://calendar": ["calendar:read"]}}}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["per-resource-scopes"],
	"diagnostics": [{"reason": "this application may not do this here"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["per-resource-scopes"],
	"diagnostics": [],
} if {
	count(input.context.requested_scopes) > 0
	granted := params.allow[input.principal.id][input.resource.identifier]
	every scope in input.context.requested_scopes {
		scope in granted
	}
}
`;

const delegationBounded = `package caracal.authz

# Agents act on delegation only, at most params.max_hops edges from its source, within params.scopes:
# {"max_hops": 2, "scopes": ["calendar:read"]}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["delegation-bounded"],
	"diagnostics": [{"reason": "a delegation within its bounds is required"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["delegation-bounded"],
	"diagnostics": [],
} if {
	count(input.context.requested_scopes) > 0
	input.delegation_edge.hop_count <= params.max_hops
	every scope in input.context.requested_scopes {
		scope in input.delegation_edge.scopes
		scope in params.scopes
	}
}
`;

export const policyTemplates: readonly PolicyTemplate[] = [
  {
    id: 'role-based',
    name: 'Roles of applications',
    description: 'Allows what the roles among the traits of the application cover, resource by resource.',
    content: roleBased,
    exampleParams: { roles: { reader: { 'resource://calendar': ['calendar:read'] } } },
  },
  {
    id: 'per-resource-scopes',
    name: 'Scopes by application and resource',
    description: 'Allows the scopes that are listed for this application on this resource.',
    content: perResourceScopes,
    exampleParams: { allow: { '<application id>': { 'resource://calendar': ['calendar:read'] } } },
  },
  {
    id: 'delegation-bounded',
    name: 'Bounded delegation',
    description: 'Allows what a delegation carries, within a number of hops and a list of scopes.',
    content: delegationBounded,
    exampleParams: { max_hops: 2, scopes: ['calendar:read'] },
  },
];
