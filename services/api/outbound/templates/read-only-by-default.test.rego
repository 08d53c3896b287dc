package caracal.authz_test

import data.caracal.authz

asked(application, scopes) := {"principal": {"id": application}, "context": {"requested_scopes": scopes}}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_has_no_opinion_on_reading if {
	decision(asked("app", ["calendar:read"]), {}) == "abstain"
	decision(asked("app", ["calendar:read", "mail:list"]), {"reading": [":read", ":list"]}) == "abstain"
}

test_denies_writing if {
	decision(asked("app", ["calendar:write"]), {}) == "deny"
	decision(asked("app", ["calendar:read", "calendar:write"]), {}) == "deny"
	decision(asked("app", ["calendar:write"]), {"reading": [""]}) == "deny"
}

test_has_no_opinion_on_writers if {
	decision(asked("writer", ["calendar:write"]), {"writers": ["writer"]}) == "abstain"
	decision(asked("app", ["calendar:write"]), {"writers": ["writer"]}) == "deny"
}

test_denies_when_nothing_is_asked_for if {
	decision(asked("app", []), {}) == "deny"
	decision({}, {}) == "deny"
}
