package caracal.authz

# A guard: denies every scope that does not end in one of params.reading (":read" when absent), unless the application is one
# of params.writers; has no opinion otherwise, so that another policy of the set decides:
# {"reading": [":read", ":list"], "writers": ["<application id>"]}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["read-only-by-default"],
	"diagnostics": [{"reason": "this application may only read"}],
}

result := {
	"decision": "abstain",
	"evaluation_status": "complete",
	"determining_policies": ["read-only-by-default"],
	"diagnostics": [],
} if {
	reads_only
}

result := {
	"decision": "abstain",
	"evaluation_status": "complete",
	"determining_policies": ["read-only-by-default"],
	"diagnostics": [],
} if {
	input.principal.id in params.writers
}

reads_only if {
	count(input.context.requested_scopes) > 0
	every scope in input.context.requested_scopes {
		reads(scope)
	}
}

reads(scope) if {
	some ending in object.get(params, "reading", [":read"])
	ending != ""
	endswith(scope, ending)
}
