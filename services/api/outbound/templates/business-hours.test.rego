package caracal.authz_test

import data.caracal.authz

asked(is_open, scopes) := {
	"calendar": {"open": is_open, "hour": 10, "weekday": "monday"},
	"context": {"requested_scopes": scopes},
}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_has_no_opinion_while_open if {
	decision(asked(true, ["calendar:write"]), {}) == "abstain"
}

test_denies_while_closed if {
	decision(asked(false, ["calendar:write"]), {}) == "deny"
	decision(asked("true", ["calendar:write"]), {}) == "deny"
}

test_denies_without_a_calendar if {
	decision({"context": {"requested_scopes": ["calendar:read"]}}, {}) == "deny"
	decision({}, {}) == "deny"
}

test_leaves_exempt_scopes_to_others_at_any_hour if {
	decision(asked(false, ["calendar:read"]), {"always": ["calendar:read"]}) == "abstain"
	decision(asked(false, ["calendar:read", "calendar:write"]), {"always": ["calendar:read"]}) == "deny"
	decision(asked(false, []), {"always": ["calendar:read"]}) == "deny"
}
