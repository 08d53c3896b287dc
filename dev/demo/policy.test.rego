package caracal.authz_test

import data.caracal.authz

asked(application, resource, scopes) := {
	"principal": {"id": application},
	"resource": {"identifier": resource},
	"action": {"id": "TokenExchange"},
	"context": {"requested_scopes": scopes},
}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

given := {"application": "agent"}

test_lets_the_application_use_the_reports if {
	decision(asked("agent", "reports", ["reports:read", "reports:write"]), given) == "allow"
}

test_lets_it_start_sessions if {
	lifecycle := object.union(asked("agent", "caracal:coordinator", ["agent:lifecycle"]), {"action": {"id": "SessionLifecycle"}})
	decision(lifecycle, given) == "allow"
}

test_lets_nobody_delete if {
	decision(asked("agent", "reports", ["reports:delete"]), given) == "deny"
	decision(asked("agent", "reports", ["reports:read", "reports:delete"]), given) == "deny"
}

test_denies_others_and_other_resources if {
	decision(asked("other", "reports", ["reports:read"]), given) == "deny"
	decision(asked("agent", "mail", ["mail:read"]), given) == "deny"
}

test_denies_everything_without_data if {
	decision(asked("agent", "reports", ["reports:read"]), {}) == "deny"
	decision({}, {}) == "deny"
}
