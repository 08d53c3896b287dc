package caracal.authz_test

import data.caracal.authz

given := {"allow": {"app": {"resource://calendar": ["calendar:read", "calendar:write"]}}}

asked(application, scopes) := {
	"principal": {"id": application},
	"resource": {"identifier": "resource://calendar"},
	"context": {"requested_scopes": scopes},
}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_allows_what_is_listed if {
	decision(asked("app", ["calendar:read"]), given) == "allow"
	decision(asked("app", ["calendar:write", "calendar:read"]), given) == "allow"
}

test_denies_another_application if {
	decision(asked("other", ["calendar:read"]), given) == "deny"
}

test_denies_a_scope_that_is_not_listed if {
	decision(asked("app", ["calendar:read", "calendar:delete"]), given) == "deny"
}

test_denies_when_nothing_is_asked_for if {
	decision(asked("app", []), given) == "deny"
}

test_denies_everything_without_data if {
	decision(asked("app", ["calendar:read"]), {}) == "deny"
	decision({}, {}) == "deny"
}
