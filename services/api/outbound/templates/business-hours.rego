package caracal.authz

# A guard: denies while the zone is closed (its calendar), and has no opinion while it is open, so that another policy of
# the set decides. Scopes of params.always are left to the others at any hour:
# {"always": ["calendar:read"]}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["business-hours"],
	"diagnostics": [{"reason": "the zone is closed at this hour"}],
}

result := {
	"decision": "abstain",
	"evaluation_status": "complete",
	"determining_policies": ["business-hours"],
	"diagnostics": [],
} if {
	not denied
}

# A zone without a calendar is never open.
denied if {
	not open
	not exempt
}

open if input.calendar.open == true

exempt if {
	count(input.context.requested_scopes) > 0
	every scope in input.context.requested_scopes {
		scope in params.always
	}
}
