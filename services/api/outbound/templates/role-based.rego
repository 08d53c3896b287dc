package caracal.authz

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
