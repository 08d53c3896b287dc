package caracal.authz

# Allows what is listed for the application on the resource; what is listed under step_up as well waits for an approval first:
# {"allow": {"<application id>": {"resource://ledger": ["ledger:read", "ledger:write"]}},
#  "step_up": {"ledger:write": {"type": "human_approval", "ttl_seconds": 300}}}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["step-up-by-scope"],
	"diagnostics": [{"reason": "this application may not do this here"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["step-up-by-scope"],
	"diagnostics": [{"step_up_required": rule, "scope": scope} | some scope, rule in step_ups],
} if {
	count(input.context.requested_scopes) > 0
	every scope in input.context.requested_scopes {
		scope in params.allow[input.principal.id][input.resource.identifier]
	}
}

step_ups[scope] := rule if {
	some scope in input.context.requested_scopes
	rule := params.step_up[scope]
}
