package caracal.authz

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
