package caracal.authz_test

import data.caracal.authz

given := {"roles": {"reader": {"resource://calendar": ["calendar:read"]}}}

asked(traits, scopes) := {
	"principal": {"id": "app", "traits": traits},
	"resource": {"identifier": "resource://calendar"},
	"context": {"requested_scopes": scopes},
}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_allows_what_a_role_covers if {
	decision(asked(["role:reader"], ["calendar:read"]), given) == "allow"
}

test_denies_a_scope_more if {
	decision(asked(["role:reader"], ["calendar:read", "calendar:write"]), given) == "deny"
}

test_denies_without_a_role if {
	decision(asked([], ["calendar:read"]), given) == "deny"
	decision(asked(["reader"], ["calendar:read"]), given) == "deny"
}

test_denies_a_role_of_another_name if {
	decision(asked(["role:read"], ["calendar:read"]), given) == "deny"
}

test_denies_another_resource if {
	elsewhere := object.union(asked(["role:reader"], ["calendar:read"]), {"resource": {"identifier": "resource://mail"}})
	decision(elsewhere, given) == "deny"
}

test_denies_when_nothing_is_asked_for if {
	decision(asked(["role:reader"], []), given) == "deny"
}

test_denies_everything_without_data if {
	decision(asked(["role:reader"], ["calendar:read"]), {}) == "deny"
	decision({}, {}) == "deny"
}
