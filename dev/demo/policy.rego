package caracal.authz

# Who may do what with the reports of the demo. One answer, deny unless a rule says otherwise.

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["reports"],
	"diagnostics": [{"reason": "no rule of this zone allows it"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["reports"],
	"diagnostics": [],
} if {
	allowed
	not deletes
}

result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["reports"],
	"diagnostics": [{"reason": "reports are deleted by people, not by agents"}],
} if deletes

allowed if {
	input.principal.id == params.application
	input.resource.identifier == "reports"
}

# Starting, ending and delegating sessions.
allowed if {
	input.principal.id == params.application
	input.action.id == "SessionLifecycle"
}

deletes if "reports:delete" in input.context.requested_scopes
