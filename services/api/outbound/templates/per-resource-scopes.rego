package caracal.authz

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
