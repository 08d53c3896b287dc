package caracal.authz_test

import data.caracal.authz

given := {"max_hops": 2, "scopes": ["calendar:read"]}

asked(hops, scopes) := {
	"delegation_edge": {"hop_count": hops, "scopes": ["calendar:read", "calendar:write"]},
	"context": {"requested_scopes": scopes},
}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_allows_within_its_bounds if {
	decision(asked(1, ["calendar:read"]), given) == "allow"
	decision(asked(2, ["calendar:read"]), given) == "allow"
}

test_denies_a_hop_more if {
	decision(asked(3, ["calendar:read"]), given) == "deny"
}

test_denies_a_scope_that_the_policy_or_the_edge_lacks if {
	decision(asked(1, ["calendar:write"]), given) == "deny"
	decision(asked(1, ["mail:read"]), {"max_hops": 2, "scopes": ["mail:read"]}) == "deny"
}

test_denies_without_a_delegation if {
	decision({"context": {"requested_scopes": ["calendar:read"]}}, given) == "deny"
}

test_denies_everything_without_data if {
	decision(asked(1, ["calendar:read"]), {}) == "deny"
	decision({}, {}) == "deny"
}
