package caracal.authz_test

import data.caracal.authz

given := {
	"allow": {"app": {"resource://ledger": ["ledger:read", "ledger:write"]}},
	"step_up": {"ledger:write": {"type": "human_approval", "ttl_seconds": 60}, "mail:send": "mfa"},
}

asked(application, scopes) := {
	"principal": {"id": application},
	"resource": {"identifier": "resource://ledger"},
	"context": {"requested_scopes": scopes},
}

result(asked_for, given_params) := said if {
	said := authz.result with input as asked_for with data.given as given_params
}

test_allows_what_needs_no_approval if {
	result(asked("app", ["ledger:read"]), given).decision == "allow"
	result(asked("app", ["ledger:read"]), given).diagnostics == []
}

test_holds_what_needs_one if {
	held := result(asked("app", ["ledger:read", "ledger:write"]), given)
	held.decision == "allow"
	held.diagnostics == [{"scope": "ledger:write", "step_up_required": {"type": "human_approval", "ttl_seconds": 60}}]
}

test_holds_nothing_that_is_not_allowed_anyway if {
	result(asked("app", ["mail:send"]), given).decision == "deny"
	result(asked("other", ["ledger:write"]), given).decision == "deny"
}

test_denies_everything_without_data if {
	result(asked("app", ["ledger:read"]), {}).decision == "deny"
	result({}, {}).decision == "deny"
}
